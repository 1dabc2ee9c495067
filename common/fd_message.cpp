#include "common/fd_message.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace stint {

MessageStatus send_message(int socket, std::string_view bytes, int attached) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (attached >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &attached, sizeof(int));
  }
  for (;;) {
    if (::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0) return MessageStatus::done;
    if (errno == EINTR) continue;
    // ETOOMANYREFS: too many descriptors are under way; they become fewer when the peer reads.
    if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS) return MessageStatus::would_block;
    return MessageStatus::closed;
  }
}

ReceivedMessage receive_message(int socket, std::size_t bytes_max) {
  ReceivedMessage result;
  // Most frames are far smaller than the largest: the length is asked for first.
  ssize_t length = -1;
  do {
    length = ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC);
  } while (length < 0 && errno == EINTR);
  if (length < 0) {
    result.status = errno == EAGAIN ? MessageStatus::would_block : MessageStatus::closed;
    return result;
  }
  if (length == 0) return result;
  result.bytes.resize(std::min(static_cast<std::size_t>(length), bytes_max));

  iovec part{result.bytes.data(), result.bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t received = -1;
  do {
    received = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received <= 0) return result;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
      continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(int));
    result.attached.reset(fd);
  }
  result.bytes.resize(static_cast<std::size_t>(received));
  result.truncated = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  result.status = MessageStatus::done;
  return result;
}

}  // namespace stint
