#include "common/worker_frame.hpp"

namespace stint::worker {

std::optional<FrameView> next_frame(std::string_view& bytes) {
  std::uint32_t length = 0;
  if (bytes.size() < sizeof length) return std::nullopt;
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length == 0 || length > frame_bytes_max) throw Decoder::malformed();
  if (bytes.size() - sizeof length < length) return std::nullopt;
  const FrameView view{static_cast<FrameKind>(bytes[sizeof length]), bytes.substr(sizeof length + 1, length - 1)};
  bytes.remove_prefix(sizeof length + length);
  return view;
}

}  // namespace stint::worker
