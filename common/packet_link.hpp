// Frames in and out of a SOCK_SEQPACKET socket without ever blocking, for both ends of a worker's connection.
//
// What is posted is packed: many small frames share a packet, a large one is spread over several. A full socket keeps
// the rest here, in order, until `flush` is called again; nothing is dropped. A packet starts with the protocol's
// version and the sender's epoch; one of another version is an Error, one of another epoch is ignored. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/unique_fd.hpp"
#include "common/worker_frame.hpp"

namespace stint::worker {

class PacketLink {
 public:
  PacketLink() = default;
  explicit PacketLink(UniqueFd socket);

  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] bool is_open() const { return static_cast<bool>(socket_); }
  void close() { socket_.reset(); }

  /// Packets that follow carry this epoch, and only packets with it are taken. 0, the first, takes any.
  void set_epoch(std::uint32_t epoch) { epoch_ = epoch; }

  template <class Frame>
  void post(const Frame& frame) {
    if (is_open()) encode(out_, frame);
  }

  enum class Flush : std::uint8_t { done, blocked, broken };
  /// Sends what can be sent; `blocked`: call again when the socket is writable.
  Flush flush();
  [[nodiscard]] bool has_unsent() const { return sent_ < out_.size(); }

  enum class Receive : std::uint8_t { drained, more, closed };
  /// Reads packets and calls `on_frame(const FrameView&)` for each frame; `more`: the socket may hold further ones.
  /// Throws Error for bytes that are no frames.
  template <class OnFrame>
  Receive receive(OnFrame&& on_frame) {
    for (int i = 0; i < packets_a_turn; ++i) {
      std::string_view bytes;
      const Read read = read_packet(bytes);
      if (read == Read::nothing) return Receive::drained;
      if (read == Read::closed) return Receive::closed;
      if (!partial_.empty()) {
        partial_ += bytes;
        bytes = partial_;
      }
      while (const auto frame = next_frame(bytes)) {
        on_frame(*frame);
        if (!is_open()) return Receive::closed;
      }
      keep_partial(bytes);
    }
    return Receive::more;
  }

 private:
  enum class Read : std::uint8_t { packet, nothing, closed };
  static constexpr int packets_a_turn = 64;

  Read read_packet(std::string_view& bytes);
  void keep_partial(std::string_view rest);

  UniqueFd socket_;
  std::uint32_t epoch_ = 0;
  std::string out_;
  std::size_t sent_ = 0;
  std::string partial_;  // the beginning of a frame that is spread over packets
};

}  // namespace stint::worker
