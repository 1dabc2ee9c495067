// Output bytes as they stand in an answer: as text where they are UTF-8, else base64; no character cut in two.
#pragma once

#include <cstddef>
#include <string_view>

#include "common/protocol.hpp"

namespace stint::api {

/// Bytes at the end of `bytes` that begin a UTF-8 sequence which may go on in what follows: 0 to 3.
[[nodiscard]] std::size_t unfinished_tail(std::string_view bytes);

/// `bytes` as the `data` and `encoding` of a chunk; the caller has cut off an unfinished tail.
void encode_bytes(protocol::OutputChunk& chunk, std::string_view bytes);

}  // namespace stint::api
