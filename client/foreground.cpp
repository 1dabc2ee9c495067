#include "client/foreground.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <vector>

#include "client/output_copy.hpp"
#include "client/record.hpp"
#include "client/record_output.hpp"
#include "client/spec_options.hpp"
#include "client/submission.hpp"
#include "client/terminal.hpp"
#include "common/base64.hpp"
#include "common/protocol.hpp"

namespace stint::cli {
namespace {

constexpr std::size_t input_bytes = 64U << 10U;
constexpr std::array both{StreamName::out, StreamName::err};

std::size_t index_of(StreamName name) { return static_cast<std::size_t>(name); }

std::string signal_request(JobId id, std::string_view signal) {
  return R"({"id":)" + std::to_string(id) + R"(,"signal":")" + std::string(signal) + R"("})";
}

std::string ids_request(JobId id) { return R"({"ids":[)" + std::to_string(id) + "]}"; }

/// The job may have ended meanwhile, which is no news.
void ignore(const RpcError&) {}

}  // namespace

Foreground::Foreground(Connection connection, bool quiet)
    : session_(std::move(connection), exit_code::not_finished, interrupts_), quiet_(quiet) {}

int Foreground::run(const JobSpec& spec) {
  owner_ = true;
  task_ = !spec.is_program();
  input_open_ = spec.stdin_source.is_stream();
  const std::optional<int> early = submit(spec);
  if (early) handle_signal(*early);
  streams_[0].attempt = streams_[1].attempt = 1;
  streams_[0].wanted = spec.is_program() && spec.stdout_target.is_capture();
  streams_[1].wanted = !spec.task && spec.stderr_target.is_capture();
  return follow_to_end();
}

/// Returns a signal that has arrived meanwhile: it is the job's, as soon as there is one. With a second one the user does not
/// wait for that.
std::optional<int> Foreground::submit(const JobSpec& spec) {
  std::optional<int> early;
  Submission submission(spec);
  const std::function<void()> ask = [&] {
    session_.connection.request(
        submission.method(), submission.params(), [this](const nlohmann::json& answer) { id_ = answer.at("id").get<JobId>(); },
        [&](const RpcError& error) {
          if (!submission.drop_key(error)) throw error;
          ask();
        });
  };
  ask();
  std::array<pollfd, 1> wake{pollfd{interrupts_.fd(), POLLIN, 0}};
  while (id_ == 0) {
    try {
      session_.connection.pump(wake);
      const auto signal = interrupts_.take();
      if (signal && early) throw Failure(exit_code::signalled + *signal, unanswered_submit("interrupted"));
      if (signal) early = signal;
    } catch (const ConnectionLost&) {
      if (!submission.keyed()) throw Failure(exit_code::not_finished, unanswered_submit("the connection broke"));
      try {
        session_.recover(Purpose::submit);
      } catch (const Failure& failure) {
        throw Failure(failure.code(), unanswered_submit(failure.what()));
      }
      ask();
    }
  }
  return early;
}

int Foreground::follow(JobId id, stint::Attempt attempt, std::array<bool, 2> streams, std::uint64_t offset) {
  id_ = id;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    streams_[i].wanted = streams[i];
    streams_[i].attempt = attempt;
    streams_[i].offset = offset;
  }
  return follow_to_end();
}

int Foreground::follow_to_end() {
  open_streams();
  ask_for_end();
  while (!done()) {
    try {
      std::vector<pollfd> others{{interrupts_.fd(), POLLIN, 0}};
      const bool may_read = input_open_ && !unanswered_input_;
      if (may_read) others.push_back({STDIN_FILENO, POLLIN, 0});
      session_.connection.pump(others);
      handle_signals();
      if (may_read && others[1].revents != 0) read_input();
    } catch (const ConnectionLost&) {
      recover();
    }
  }
  return report();
}

void Foreground::recover() {
  try {
    session_.recover();
  } catch (const Failure& failure) {
    throw Failure(failure.code(), std::string(failure.what()) + " (it was job " + std::to_string(id_) + ")");
  }
  if (unanswered_input_) post_input(true);
  open_streams();
  ask_for_end();
}

bool Foreground::done() const { return record_ && streams_[0].ended && streams_[1].ended; }

void Foreground::open_streams() {
  for (const StreamName name : both) {
    Stream& stream = streams_[index_of(name)];
    stream.ended = !stream.wanted;
    if (stream.ended) continue;
    Connection::StreamHandler handler;
    handler.on_item = [this, name](const nlohmann::json& chunk) { on_chunk(name, chunk); };
    handler.on_end = [&stream](const nlohmann::json& end) {
      // A daemon that goes ends it too: the next one has the rest.
      stream.ended = text_at(end, "reason") != "draining";
    };
    session_.connection.open_stream("job.output", output_request(id_, name, stream.offset, true, stream.attempt),
                                    std::move(handler), [this, &stream](const RpcError& error) {
                                      if (error.kind() != "conflict") refuse(error);
                                      stream.ended = true;  // not captured
                                    });
  }
}

void Foreground::ask_for_end() {
  session_.connection.request(
      "job.wait", ids_request(id_),
      [this](const nlohmann::json& answer) {
        const auto& finished = field_at(answer, "finished");
        if (finished.is_array() && !finished.empty()) record_ = finished.front();
      },
      [this](const RpcError& error) {
        // A daemon that is going away ends its waits; the loss of the connection tells the rest.
        if (error.kind() != "draining") refuse(error);
      });
}

void Foreground::refuse(const RpcError& error) const { session_.refuse(error, "job " + std::to_string(id_)); }

void Foreground::on_chunk(StreamName name, const nlohmann::json& chunk) {
  Stream& stream = streams_[index_of(name)];
  stream.offset = number_at(chunk, "next");
  if (const auto attempt = number_at(chunk, "attempt"); attempt > 0) stream.attempt = static_cast<stint::Attempt>(attempt);
  if (stream.reader_gone) return;
  if (write_all(descriptor_of(name), bytes_of(chunk), [this] { handle_signals(); }) == Written::all) return;
  stream.reader_gone = true;
  if (!owner_) throw Failure(exit_code::signalled + SIGPIPE, "the reader has gone");
  // What the job would have got from its own pipe.
  session_.connection.request("job.signal", signal_request(id_, "PIPE"), {}, ignore);
}

void Foreground::read_input() {
  std::array<char, input_bytes> buffer{};
  const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  send_input({buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0}, got <= 0);
}

void Foreground::send_input(std::string bytes, bool end) {
  if (end) input_open_ = false;
  unanswered_input_ = InputPiece{std::move(bytes), end, input_offset_};
  post_input(false);
}

void Foreground::post_input(bool again) {
  const InputPiece& piece = *unanswered_input_;
  protocol::InputRequest request;
  request.id = id_;
  request.end = piece.end;
  if (again) request.offset = piece.offset;
  if (json::is_utf8(piece.bytes) && piece.bytes.find('\0') == std::string_view::npos) {
    request.data = piece.bytes;
  } else {
    request.data = base64_encode(piece.bytes);
    request.encoding = Encoding::base64;
  }
  session_.connection.request(
      "job.input", json::encode_text(request),
      [this](const nlohmann::json&) {
        input_offset_ += unanswered_input_->bytes.size();
        unanswered_input_.reset();
      },
      [this](const RpcError& error) {
        if (error.kind() == "draining") return;  // the next daemon gets it again
        unanswered_input_.reset();
        input_open_ = false;
        // It has closed its standard input, or has ended: nobody is left to read more.
        if (error.kind() == "conflict" || error.kind() == "not_found" || error.kind() == "purged") return;
        if (std::exchange(input_cut_, true)) return;
        note(std::string("the job gets no more of standard input: ") + error.what());
        send_input({}, true);  // it is not to wait for what never comes
      });
}

void Foreground::handle_signals() {
  while (const auto signal = interrupts_.take()) handle_signal(*signal);
  session_.connection.flush();
}

void Foreground::handle_signal(int signal) {
  if (signal == SIGINT) {
    on_interrupt();
  } else if (owner_) {
    cancel();
  } else {
    throw Failure(exit_code::signalled + signal, "interrupted");
  }
}

void Foreground::on_interrupt() {
  if (!owner_) throw Failure(exit_code::signalled + SIGINT, "interrupted; the job goes on");
  if (interrupts_.is_second()) detach();
  if (task_) {
    cancel();
    return;
  }
  session_.connection.request("job.signal", signal_request(id_, "INT"), {}, [this](const RpcError& error) {
    // It does not run yet: what an interrupt means then is that it never shall.
    if (error.kind() == "conflict") cancel();
  });
}

void Foreground::cancel() { session_.connection.request("job.cancel", ids_request(id_), {}, ignore); }

void Foreground::detach() {
  if (input_open_) send_input({}, true);
  session_.connection.flush();
  const std::string id = std::to_string(id_);
  throw Failure(exit_code::not_finished, "left job " + id + " running; come back with: stint output -f " + id +
                                             "   (its code: stint wait " + id + "; stop it: stint cancel " + id + ")");
}

int Foreground::report() {
  const auto& record = *record_;
  const int code = exit_code_of(record);
  if (owner_ && task_ && code == exit_code::success) {
    print(session_.resuming([&record](Connection& connection) { return task_result(connection, record); }) + "\n");
  }
  for (const auto* name : {"stdout", "stderr"}) {
    const auto& truncated = field_at(record, std::string(name) + ".truncated");
    if (!quiet_ && owner_ && truncated.is_boolean() && truncated.get<bool>()) {
      note("job " + std::to_string(id_) + ": only head and tail of its " + name + " are kept; --output-limit raises that");
    }
  }
  const bool plain_exit = !field_at(record, "exit_code").is_null() && field_at(record, "error").is_null();
  const std::string outcome = text_at(record, "outcome");
  if (!quiet_ && owner_ && code != exit_code::success && !(outcome == "failed" && plain_exit)) {
    note("job " + std::to_string(id_) + ": " + ending_of(record));
  }
  if (input_cut_ && code == exit_code::success) {
    note("job " + std::to_string(id_) + " succeeded, but may have got only a part of standard input");
    return exit_code::not_finished;
  }
  return code;
}

}  // namespace stint::cli
