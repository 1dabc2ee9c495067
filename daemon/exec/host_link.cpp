#include "daemon/exec/host_link.hpp"

#include <sys/syscall.h>

#include <csignal>

#include "common/fd_message.hpp"

namespace stint::exec {
namespace {

constexpr std::size_t frames_a_turn_max = 64;  // then others have their turn

}  // namespace

HostLink::HostLink(boost::asio::io_context& io, Worker worker)
    : name_(std::move(worker.name)),
      process_(static_cast<int>(::syscall(SYS_pidfd_open, worker.pid, 0))),
      socket_(io, worker.socket.release()) {
  socket_.native_non_blocking(true);
}

void HostLink::open(FrameCallback on_frame, std::function<void()> on_closed) {
  on_frame_ = std::move(on_frame);
  on_closed_ = std::move(on_closed);
  wait_readable();
}

void HostLink::wait_readable() {
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       if (!error && self->read(frames_a_turn_max) && self->socket_.is_open()) self->wait_readable();
                     });
}

bool HostLink::read(std::size_t frames_max) {
  for (std::size_t i = 0; i < frames_max && socket_.is_open(); ++i) {
    ReceivedMessage message = receive_message(socket_.native_handle(), host_protocol::frame_bytes_max);
    if (message.status == MessageStatus::would_block) return true;
    auto frame =
        message.status == MessageStatus::done && !message.truncated ? host_protocol::decode(message.bytes) : std::nullopt;
    if (!frame) {
      kill();  // without effect where it is dead already, which is the usual reason
      fail();
      return false;
    }
    on_frame_(std::move(*frame), std::move(message.attached));
  }
  return socket_.is_open();
}

void HostLink::drain() {
  while (read(frames_a_turn_max)) {
    // A dead host's socket ends in an end of file, so this does too.
  }
}

void HostLink::send(const host_protocol::Frame& frame, UniqueFd attached) {
  outgoing_.push_back({host_protocol::encode(frame), std::move(attached)});
  if (!waiting_to_write_) flush();
}

void HostLink::flush() {
  while (!outgoing_.empty() && socket_.is_open()) {
    const Outgoing& next = outgoing_.front();
    const auto status = send_message(socket_.native_handle(), next.bytes, next.attached.get());
    if (status == MessageStatus::would_block) {
      wait_writable();
      return;
    }
    // A host that is gone is noticed by the reading side, which also finds what it had still sent.
    outgoing_.pop_front();
  }
}

void HostLink::wait_writable() {
  waiting_to_write_ = true;
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       self->waiting_to_write_ = false;
                       if (!error) self->flush();
                     });
}

void HostLink::kill() {
  if (process_) ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
}

void HostLink::close() {
  on_frame_ = nullptr;
  on_closed_ = nullptr;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void HostLink::fail() {
  const auto on_closed = std::move(on_closed_);
  close();
  if (on_closed) on_closed();
}

}  // namespace stint::exec
