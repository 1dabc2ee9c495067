// A conversation on its socket: does what the conversation wants, and nothing else.
//
// Reads only when there is something, into a buffer that an idle connection does not have; sends without waiting and
// asks for room only when the kernel has none. I/O thread only. It keeps itself alive while an operation is outstanding;
// the server owns it otherwise.
#pragma once

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "common/time.hpp"
#include "daemon/api/conversation.hpp"

namespace stint::api {

class Session : public std::enable_shared_from_this<Session> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  Session(Socket socket, std::shared_ptr<Conversation> conversation, Duration send_timeout,
          std::function<void(const std::shared_ptr<Session>&)> on_closed);

  void start();
  /// No more requests; closes when what is answered has left.
  void finish();
  /// Closes now.
  void close();

 private:
  void perform();
  void send_some();
  void wait_readable();
  void on_readable();
  void wait_writable();
  void watch_peer();
  void watch_progress();
  void schedule();
  [[nodiscard]] bool peer_is_gone();

  Socket socket_;
  std::shared_ptr<Conversation> conversation_;
  Duration send_timeout_;
  std::function<void(const std::shared_ptr<Session>&)> on_closed_;
  std::optional<boost::asio::steady_timer> send_timer_;  // made when the peer is first found slow
  std::size_t read_size_;
  std::uint64_t sent_bytes_ = 0;
  bool reading_ = false;
  bool writing_ = false;  // waiting for room
  bool watching_ = false;
  bool timing_ = false;
  bool scheduled_ = false;
  bool closed_ = false;
};

}  // namespace stint::api
