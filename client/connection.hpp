// One conversation with a daemon: requests out, answers and stream items back to whoever asked.
//
// A socket, a poll(2) loop step and two maps; no thread. Callbacks run inside `pump` and `call`, and may make further
// requests, but no `call`. What is not asked for is ignored: answers are open. Throws ConnectionLost when the other
// side ends, RpcError where nobody takes a refusal, Failure where the peer speaks something else.
#pragma once

#include <poll.h>

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "client/failure.hpp"
#include "common/framing.hpp"
#include "common/unique_fd.hpp"

namespace stint::cli {

class Connection {
 public:
  using Json = nlohmann::json;
  using OnResult = std::function<void(Json result)>;
  using OnError = std::function<void(const RpcError& error)>;  ///< empty: `pump` throws the error
  /// Of a stream: each item, and the parameters of its `stream.end`.
  struct StreamHandler {
    std::function<void(Json item)> on_item;
    std::function<void(const Json& end)> on_end;
  };

  Connection(UniqueFd socket, std::string path);

  /// Whoever opened it might have started a daemon instead; `quiet`: without saying so.
  enum class Start : std::uint8_t { forbidden, told, quiet };
  void allow_start(Start start) { start_ = start; }
  [[nodiscard]] Start start_allowed() const { return start_; }

  /// Queues a request; it leaves with the next `pump`, several in one write. `params` is a JSON object as text.
  void request(std::string_view method, std::string_view params, OnResult on_result, OnError on_error = {});
  /// Queues a request that may stream; `on_result` sees the answer itself, whether it opened a stream or not.
  void open_stream(std::string_view method, std::string_view params, StreamHandler handler, OnError on_error = {},
                   OnResult on_result = {});
  /// Asks and waits for the answer.
  Json call(std::string_view method, std::string_view params);

  /// Sends what is queued, waits until something is readable here or in `others` (their `revents` are set), or for
  /// `timeout_ms` (-1: without end), or for a signal, and hands out what has arrived.
  void pump(std::span<pollfd> others = {}, int timeout_ms = -1);

  /// Sends what can be sent without waiting.
  void flush() { send_some(); }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Pending {
    OnResult on_result;
    OnError on_error;
  };

  bool dispatch_lines();
  void dispatch(std::string_view line);
  void dispatch_answer(Json& message);
  void dispatch_notification(Json& message);
  void send_some();
  void receive_some();

  UniqueFd socket_;
  std::string path_;
  Start start_ = Start::forbidden;
  LineSplitter lines_;
  std::string outbox_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, Pending> pending_;
  std::map<std::uint64_t, StreamHandler> streams_;
  bool ended_ = false;
};

}  // namespace stint::cli
