// What becomes of the item of a map: a word in the command, the arguments of a task, or a variable of a shell text.
//
// Pure; throws UsageError for a template or an item that makes no JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/job.hpp"

namespace stint::cli {

/// The `items` element of job.submit_many for one item: a string for programs; for tasks JSON, made from `args` with the
/// marker replaced (inside a JSON string its characters are escaped, outside it stands as it is), or without `args` the
/// item itself where it is JSON, else a string.
[[nodiscard]] json::Raw item_json(std::string_view item, bool task, const std::optional<std::string>& args,
                                  std::string_view marker);

/// Appends the marker to a command in which it stands nowhere.
void append_marker(std::vector<std::string>& command, const std::string& marker);

}  // namespace stint::cli
