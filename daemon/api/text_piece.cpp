#include "daemon/api/text_piece.hpp"

#include "common/base64.hpp"

namespace stint::api {

std::size_t unfinished_tail(std::string_view bytes) {
  constexpr std::size_t longest = 3;
  for (std::size_t back = 1; back <= longest && back <= bytes.size(); ++back) {
    const auto byte = static_cast<unsigned char>(bytes[bytes.size() - back]);
    if ((byte & 0xC0U) == 0x80U) continue;  // in the middle of a sequence
    const std::size_t length = byte >= 0xF0 && byte <= 0xF4 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1;
    return byte < 0xF5 && length > back ? back : 0;
  }
  return 0;
}

void encode_bytes(protocol::OutputChunk& chunk, std::string_view bytes) {
  if (json::is_utf8(bytes)) {
    chunk.encoding = Encoding::utf8;
    chunk.data = bytes;
  } else {
    chunk.encoding = Encoding::base64;
    chunk.data = base64_encode(bytes);
  }
}

}  // namespace stint::api
