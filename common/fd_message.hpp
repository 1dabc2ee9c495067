// One message of a SOCK_SEQPACKET socket, with at most one descriptor riding on it (SCM_RIGHTS).
//
// Frames of common/host_protocol travel like this. Neither call waits on a non-blocking socket; what waiting means is
// the caller's business. Any thread, one at a time a direction. Throws nothing but bad_alloc.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/unique_fd.hpp"

namespace stint {

enum class MessageStatus {
  done,
  would_block,
  closed,  ///< the peer is gone, or the socket is unusable
};

/// Sends all of `bytes` or nothing; `attached` stays the caller's. Never raises SIGPIPE.
[[nodiscard]] MessageStatus send_message(int socket, std::string_view bytes, int attached = -1);

struct ReceivedMessage {
  MessageStatus status = MessageStatus::closed;
  std::string bytes;
  UniqueFd attached;       ///< close-on-exec
  bool truncated = false;  ///< it was longer than asked for, or carried more descriptors: not to be trusted
};
/// Takes one message of at most `bytes_max`.
[[nodiscard]] ReceivedMessage receive_message(int socket, std::size_t bytes_max);

}  // namespace stint
