// A PacketLink on an io_context: frames in by callback, frames out in batches, once a turn.
//
// Whatever is posted in one turn of the I/O thread leaves together. `on_closed` is called once, when the other end has
// gone or has sent what is no frame; afterwards nothing is sent or called. I/O thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>

#include "common/packet_link.hpp"

namespace stint::exec {

class PacketSocket {
 public:
  using OnFrame = std::function<void(const worker::FrameView&)>;
  using OnClosed = std::function<void()>;

  PacketSocket(boost::asio::io_context& io, UniqueFd socket, OnFrame on_frame, OnClosed on_closed);
  ~PacketSocket();
  PacketSocket(const PacketSocket&) = delete;
  PacketSocket& operator=(const PacketSocket&) = delete;

  template <class Frame>
  void post(const Frame& frame) {
    if (!state_->link.is_open()) return;
    state_->link.post(frame);
    flush_soon();
  }
  void set_epoch(std::uint32_t epoch) { state_->link.set_epoch(epoch); }
  /// Sends what there is and closes; `on_closed` is not called.
  void close();
  [[nodiscard]] bool is_open() const { return state_->link.is_open(); }

 private:
  struct State {
    State(boost::asio::io_context& io, UniqueFd socket, OnFrame frame, OnClosed closed);
    worker::PacketLink link;
    boost::asio::io_context& io;
    boost::asio::posix::stream_descriptor watch;  // its own copy of the descriptor, for waiting only
    OnFrame on_frame;
    OnClosed on_closed;
    bool flush_posted = false;
    bool write_wait = false;
  };

  void flush_soon();
  static void flush(const std::shared_ptr<State>& state);
  static void wait_readable(const std::shared_ptr<State>& state);
  static void on_readable(const std::shared_ptr<State>& state);
  static void shut(const std::shared_ptr<State>& state, bool tell);

  std::shared_ptr<State> state_;
};

}  // namespace stint::exec
