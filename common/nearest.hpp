// The nearest known name to a mistyped one, for suggestions in errors ("did you mean …?").
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace stint {

/// The candidate with the smallest edit distance to `word` (adjacent swaps count one), if it is near enough to be a
/// plausible typing error (at most a third of the word, and at least one edit is always allowed); else nothing.
/// Words over 64 bytes get no suggestion, so that hostile input costs nothing.
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace stint
