#include "daemon/api/session.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <cerrno>

namespace stint::api {
namespace {

constexpr std::size_t small_read = 4U << 10U;
constexpr std::size_t large_read = 64U << 10U;
constexpr int sends_a_turn = 16;

}  // namespace

Session::Session(Socket socket, std::shared_ptr<Conversation> conversation, Duration send_timeout,
                 std::function<void(const std::shared_ptr<Session>&)> on_closed)
    : socket_(std::move(socket)),
      conversation_(std::move(conversation)),
      send_timeout_(send_timeout),
      on_closed_(std::move(on_closed)),
      read_size_(small_read) {}

void Session::start() {
  conversation_->on_wake([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->schedule();
  });
  perform();
}

void Session::finish() {
  if (closed_) return;
  conversation_->finish();
  perform();
}

void Session::close() {
  if (std::exchange(closed_, true)) return;
  const auto self = shared_from_this();
  conversation_->gone();
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (send_timer_) send_timer_->cancel();
  on_closed_(self);
}

void Session::schedule() {
  if (closed_ || std::exchange(scheduled_, true)) return;
  boost::asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->scheduled_ = false;
    if (self->closed_) return;
    self->conversation_->proceed();
    self->perform();
  });
}

void Session::perform() {
  if (closed_) return;
  if (!writing_) send_some();
  if (closed_) return;
  const auto wants = conversation_->wants();
  if (wants.close) return close();
  if (wants.read && !reading_) wait_readable();
  if (wants.watch && !watching_) watch_peer();
}

void Session::send_some() {
  for (int i = 0; i < sends_a_turn && conversation_->wants().send; ++i) {
    const auto bytes = conversation_->to_send();
    const auto sent = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      sent_bytes_ += static_cast<std::uint64_t>(sent);
      conversation_->sent(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
      return wait_writable();
    } else if (errno != EINTR) {
      return close();
    }
  }
  if (conversation_->wants().send) schedule();
}

void Session::wait_writable() {
  writing_ = true;
  watch_progress();
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const boost::system::error_code& error) {
    self->writing_ = false;
    if (!error) self->perform();
  });
}

/// A peer that takes nothing for the send timeout while an answer of its own waits is closed.
void Session::watch_progress() {
  if (timing_ || !conversation_->answer_unsent()) return;
  timing_ = true;
  if (!send_timer_) send_timer_.emplace(socket_.get_executor());
  send_timer_->expires_after(send_timeout_);
  send_timer_->async_wait([self = shared_from_this(), before = sent_bytes_](const boost::system::error_code& error) {
    self->timing_ = false;
    if (error || self->closed_ || !self->conversation_->answer_unsent()) return;
    if (self->sent_bytes_ == before) return self->close();
    self->watch_progress();
  });
}

void Session::wait_readable() {
  reading_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
    self->reading_ = false;
    if (!error && !self->closed_) self->on_readable();
  });
}

void Session::on_readable() {
  const auto space = conversation_->space(read_size_);
  const auto count = ::recv(socket_.native_handle(), space.data(), space.size(), MSG_DONTWAIT);
  if (count > 0) {
    const auto bytes = static_cast<std::size_t>(count);
    conversation_->received(bytes);
    if (bytes == space.size()) {
      read_size_ = large_read;
    } else if (read_size_ == large_read) {
      conversation_->idle();
      read_size_ = small_read;
    }
  } else if (count == 0) {
    if (peer_is_gone()) return close();
    conversation_->ended();
  } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    return close();
  }
  perform();
}

bool Session::peer_is_gone() {
  pollfd peer{socket_.native_handle(), 0, 0};
  return ::poll(&peer, 1, 0) > 0 && (peer.revents & (POLLHUP | POLLERR)) != 0;
}

void Session::watch_peer() {
  watching_ = true;
  socket_.async_wait(Socket::wait_error, [self = shared_from_this()](const boost::system::error_code& error) {
    self->watching_ = false;
    if (error || self->closed_) return;
    if (self->peer_is_gone()) return self->close();
    self->perform();
  });
}

}  // namespace stint::api
