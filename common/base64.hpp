// Base64 (RFC 4648, with padding) for bytes that are not UTF-8, through OpenSSL.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace stint {

[[nodiscard]] std::string base64_encode(std::string_view bytes);
/// Nothing where `text` is not strict base64: no white space, the length a multiple of four.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

}  // namespace stint
