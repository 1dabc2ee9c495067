#include "client/connection.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "common/json.hpp"
#include "common/limits.hpp"

namespace stint::cli {
namespace {

// A batch of answers is one line; the CLI sends none, so one answer and its envelope is the most.
constexpr std::size_t answer_line_bytes_max = limits::answer_bytes_max + (1U << 20U);
constexpr std::size_t receive_bytes = 256U << 10U;

}  // namespace

Connection::Connection(UniqueFd socket, std::string path)
    : socket_(std::move(socket)), path_(std::move(path)), lines_(answer_line_bytes_max) {
  ::fcntl(socket_.get(), F_SETFL, ::fcntl(socket_.get(), F_GETFL) | O_NONBLOCK);
}

void Connection::request(std::string_view method, std::string_view params, OnResult on_result, OnError on_error) {
  const std::uint64_t id = ++last_id_;
  outbox_ += R"({"jsonrpc":"2.0","id":)";
  outbox_ += std::to_string(id);
  outbox_ += R"(,"method":)";
  json::append_string(outbox_, method);
  outbox_ += R"(,"params":)";
  outbox_ += params;
  outbox_ += "}\n";
  pending_.emplace(id, Pending{std::move(on_result), std::move(on_error)});
}

void Connection::open_stream(std::string_view method, std::string_view params, StreamHandler handler, OnError on_error,
                             OnResult on_result) {
  auto register_stream = [this, handler = std::move(handler), on_result = std::move(on_result)](Json result) mutable {
    if (result.is_object() && result.contains("stream")) {
      streams_.insert_or_assign(result["stream"].get<std::uint64_t>(), std::move(handler));
    }
    if (on_result) on_result(std::move(result));
  };
  request(method, params, std::move(register_stream), std::move(on_error));
}

Connection::Json Connection::call(std::string_view method, std::string_view params) {
  bool answered = false;
  Json answer;
  request(method, params, [&](Json result) {
    answered = true;
    answer = std::move(result);
  });
  while (!answered) pump();
  return answer;
}

void Connection::pump(std::span<pollfd> others, int timeout_ms) {
  // A handler that threw may have left lines behind.
  if (dispatch_lines()) timeout_ms = 0;
  if (ended_) throw ConnectionLost("the daemon has closed the connection");
  send_some();
  std::vector<pollfd> polled;
  polled.reserve(others.size() + 1);
  const int events = outbox_.empty() ? POLLIN : POLLIN | POLLOUT;
  polled.push_back({socket_.get(), static_cast<short>(events), 0});
  polled.insert(polled.end(), others.begin(), others.end());
  const int ready = ::poll(polled.data(), polled.size(), timeout_ms);
  for (std::size_t i = 0; i < others.size(); ++i) others[i].revents = ready > 0 ? polled[i + 1].revents : short{0};
  if (ready <= 0) return;
  if ((polled[0].revents & POLLOUT) != 0) send_some();
  if ((polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) receive_some();
  dispatch_lines();
}

void Connection::send_some() {
  std::size_t sent = 0;
  while (sent < outbox_.size()) {
    const ssize_t got = ::send(socket_.get(), outbox_.data() + sent, outbox_.size() - sent, MSG_NOSIGNAL);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      // What the daemon said before it closed may still be read.
      outbox_.clear();
      return;
    }
    sent += static_cast<std::size_t>(got);
  }
  outbox_.erase(0, sent);
}

void Connection::receive_some() {
  const auto room = lines_.prepare(receive_bytes);
  const ssize_t got = ::recv(socket_.get(), room.data(), room.size(), 0);
  if (got > 0) {
    lines_.commit(static_cast<std::size_t>(got));
  } else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
    ended_ = true;
  }
}

bool Connection::dispatch_lines() {
  bool any = false;
  while (const auto line = lines_.next_line()) {
    any = true;
    dispatch(*line);
  }
  if (lines_.overlong()) throw Failure(exit_code::no_daemon, "the answer of " + path_ + " is longer than the protocol allows");
  return any;
}

void Connection::dispatch(std::string_view line) {
  Json message = Json::parse(line, nullptr, false);
  if (!message.is_object()) throw Failure(exit_code::no_daemon, path_ + " does not speak the stint protocol");
  if (message.contains("method")) {
    dispatch_notification(message);
  } else {
    dispatch_answer(message);
  }
}

void Connection::dispatch_answer(Json& message) {
  const auto id = message.find("id");
  const auto error = message.find("error");
  if (id == message.end() || !id->is_number_unsigned()) {
    // About the connection as a whole, for example: too many of them.
    if (error != message.end()) throw RpcError(std::move(*error));
    return;
  }
  auto entry = pending_.extract(id->get<std::uint64_t>());
  if (entry.empty()) return;
  Pending& pending = entry.mapped();
  if (error != message.end()) {
    const RpcError refused(std::move(*error));
    if (!pending.on_error) throw refused;
    pending.on_error(refused);
  } else if (pending.on_result) {
    pending.on_result(std::move(message["result"]));
  }
}

void Connection::dispatch_notification(Json& message) {
  const auto params = message.find("params");
  if (params == message.end() || !params->is_object()) return;
  const auto stream = params->find("stream");
  if (stream == params->end() || !stream->is_number_unsigned()) return;
  const auto found = streams_.find(stream->get<std::uint64_t>());
  if (found == streams_.end()) return;
  if (message["method"] == "stream.item") {
    found->second.on_item(std::move((*params)["item"]));
  } else if (message["method"] == "stream.end") {
    const StreamHandler handler = std::move(found->second);
    streams_.erase(found);
    handler.on_end(*params);
  }
}

}  // namespace stint::cli
