// The daemon's end of one host process: frames in and out, its life and its death by signal.
//
// It knows nothing of jobs. What a host sends is checked for its form and then trusted no further. A host that breaks
// the protocol is killed. I/O thread only; the link lives as long as somebody holds it or a wait is open.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "common/host_protocol.hpp"
#include "common/unique_fd.hpp"
#include "daemon/exec/workers.hpp"

namespace stint::exec {

class HostLink : public std::enable_shared_from_this<HostLink> {
 public:
  using FrameCallback = std::function<void(host_protocol::Frame, UniqueFd attached)>;

  HostLink(boost::asio::io_context& io, Worker worker);

  /// Begins to read. `on_frame` for each frame, `on_closed` once, when the host has closed its end or broke the
  /// protocol; neither is called after `close`.
  void open(FrameCallback on_frame, std::function<void()> on_closed);
  /// In the order of the calls; `attached` rides on the frame.
  void send(const host_protocol::Frame& frame, UniqueFd attached = {});
  /// Reads what has arrived already: for a host that is known to be dead.
  void drain();
  /// SIGKILL; its end is told as any other.
  void kill();
  /// Closes the socket: the host ends.
  void close();

  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  struct Outgoing {
    std::string bytes;
    UniqueFd attached;
  };

  void wait_readable();
  void wait_writable();
  /// At most `frames_max`; false when the link has ended.
  bool read(std::size_t frames_max);
  void flush();
  void fail();

  std::string name_;
  UniqueFd process_;  // a pidfd: never hits a stranger who got the same pid
  boost::asio::posix::stream_descriptor socket_;
  FrameCallback on_frame_;
  std::function<void()> on_closed_;
  std::deque<Outgoing> outgoing_;
  bool waiting_to_write_ = false;
};

}  // namespace stint::exec
