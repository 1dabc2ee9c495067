#include "daemon/exec/packet_socket.hpp"

#include <fcntl.h>

#include <boost/asio/post.hpp>
#include <utility>

namespace stint::exec {

using worker::PacketLink;

PacketSocket::State::State(boost::asio::io_context& context, UniqueFd socket, OnFrame frame, OnClosed closed)
    : link(std::move(socket)), io(context), watch(context), on_frame(std::move(frame)), on_closed(std::move(closed)) {
  watch.assign(::fcntl(link.fd(), F_DUPFD_CLOEXEC, 3));
}

PacketSocket::PacketSocket(boost::asio::io_context& io, UniqueFd socket, OnFrame on_frame, OnClosed on_closed)
    : state_(std::make_shared<State>(io, std::move(socket), std::move(on_frame), std::move(on_closed))) {
  wait_readable(state_);
}

PacketSocket::~PacketSocket() { shut(state_, false); }

void PacketSocket::close() {
  static_cast<void>(state_->link.flush());
  shut(state_, false);
}

void PacketSocket::flush_soon() {
  if (state_->flush_posted || state_->write_wait) return;
  state_->flush_posted = true;
  boost::asio::post(state_->io, [state = state_] {
    state->flush_posted = false;
    flush(state);
  });
}

void PacketSocket::flush(const std::shared_ptr<State>& state) {
  if (!state->link.is_open()) return;
  switch (state->link.flush()) {
    case PacketLink::Flush::done: return;
    case PacketLink::Flush::broken: return shut(state, true);
    case PacketLink::Flush::blocked: break;
  }
  state->write_wait = true;
  state->watch.async_wait(boost::asio::posix::stream_descriptor::wait_write, [state](const boost::system::error_code& error) {
    state->write_wait = false;
    if (!error) flush(state);
  });
}

void PacketSocket::wait_readable(const std::shared_ptr<State>& state) {
  state->watch.async_wait(boost::asio::posix::stream_descriptor::wait_read, [state](const boost::system::error_code& error) {
    if (!error) on_readable(state);
  });
}

void PacketSocket::on_readable(const std::shared_ptr<State>& state) {
  if (!state->link.is_open()) return;
  PacketLink::Receive received = PacketLink::Receive::closed;
  try {
    received = state->link.receive([&state](const worker::FrameView& frame) { state->on_frame(frame); });
  } catch (const Error&) {
    received = PacketLink::Receive::closed;  // it speaks another language: as good as gone
  }
  if (!state->link.is_open()) return;
  if (received == PacketLink::Receive::closed) return shut(state, true);
  wait_readable(state);
}

void PacketSocket::shut(const std::shared_ptr<State>& state, bool tell) {
  if (!state->link.is_open()) return;
  state->link.close();
  boost::system::error_code ignored;
  state->watch.close(ignored);
  const OnClosed on_closed = std::exchange(state->on_closed, {});
  // on_frame stays: it may be what is being called.
  if (tell && on_closed) on_closed();
}

}  // namespace stint::exec
