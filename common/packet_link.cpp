#include "common/packet_link.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>

namespace stint::worker {
namespace {

// Large enough that a burst of starts is one packet, small enough for the kernel's default socket buffer to hold some.
constexpr std::size_t packet_bytes_max = 64U << 10U;
constexpr int socket_buffer_bytes = 1 << 20;

struct PacketHeader {
  std::uint8_t version = protocol_version;
  std::uint8_t reserved[3] = {};
  std::uint32_t epoch = 0;
};
static_assert(sizeof(PacketHeader) == 8);

}  // namespace

PacketLink::PacketLink(UniqueFd socket) : socket_(std::move(socket)) {
  // Best effort: the kernel caps it at net.core.wmem_max, and a smaller buffer only means more turns.
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &socket_buffer_bytes, sizeof socket_buffer_bytes);
}

PacketLink::Flush PacketLink::flush() {
  if (!is_open()) return Flush::broken;
  while (sent_ < out_.size()) {
    PacketHeader header;
    header.epoch = epoch_;
    const std::size_t bytes = std::min(out_.size() - sent_, packet_bytes_max - sizeof header);
    std::array<iovec, 2> parts{iovec{&header, sizeof header}, iovec{out_.data() + sent_, bytes}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    if (::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == ENOBUFS) {
        if (sent_ > packet_bytes_max * 16) {
          out_.erase(0, sent_);
          sent_ = 0;
        }
        return Flush::blocked;
      }
      return Flush::broken;
    }
    sent_ += bytes;
  }
  if (out_.capacity() > packet_bytes_max * 4) out_ = {};
  out_.clear();
  sent_ = 0;
  return Flush::done;
}

PacketLink::Read PacketLink::read_packet(std::string_view& bytes) {
  // One buffer a thread is enough: the bytes are used up before the next packet is read.
  alignas(8) static thread_local std::array<char, packet_bytes_max> buffer;
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? Read::nothing : Read::closed;
    }
    if (got == 0) return Read::closed;
    const auto size = static_cast<std::size_t>(got);
    PacketHeader header;
    if (size < sizeof header || size > buffer.size()) throw Decoder::malformed();
    std::memcpy(&header, buffer.data(), sizeof header);
    if (header.version != protocol_version) {
      throw Error(ErrorKind::internal_error, "the other end speaks worker protocol " + std::to_string(header.version) + ", not " +
                                                 std::to_string(protocol_version) + ": install one version of all programs");
    }
    if (epoch_ != 0 && header.epoch != epoch_) continue;
    bytes = std::string_view(buffer.data() + sizeof header, size - sizeof header);
    return Read::packet;
  }
}

void PacketLink::keep_partial(std::string_view rest) {
  if (rest.empty()) {
    if (partial_.capacity() > packet_bytes_max * 4) partial_ = {};
    partial_.clear();
  } else if (partial_.empty()) {
    partial_ = rest;
  } else {
    partial_.erase(0, partial_.size() - rest.size());
  }
}

}  // namespace stint::worker
