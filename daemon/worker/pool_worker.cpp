#include "daemon/worker/pool_worker.hpp"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "common/kept_output.hpp"
#include "common/limits.hpp"

namespace stint::worker {
namespace {

using namespace std::chrono_literals;

/// What a worker that is no longer needed has to end in, once its input is closed.
constexpr Clock::duration leave_grace = 5s;
/// A worker that dies closes its output a moment before its end is seen.
constexpr Clock::duration end_patience = 50ms;
constexpr std::size_t line_read_bytes = 64U << 10U;
constexpr int error_reads = 8;

std::string describe(const RunEnded& ended) {
  if (ended.ending == Ending::signalled) {
    const char* name = ::sigabbrev_np(ended.code);
    return "was killed by SIG" + std::string(name != nullptr ? name : "?");
  }
  return "ended with exit code " + std::to_string(ended.code);
}

}  // namespace

PoolWorker::PoolWorker(PoolHost& host, Owner& owner, const SetPool& pool)
    : host_(host),
      owner_(owner),
      pool_(pool.number),
      jobs_left_(pool.max_jobs),
      idle_timeout_(pool.idle_timeout),
      lines_(limits::pool_answer_bytes_max),
      timer_(host.loop(), [this] { on_timer(); }) {}

void PoolWorker::start(Begin order, std::size_t slot, PoolMessage message) {
  task_.emplace(std::move(message));
  program_ = host_.launch(*this, std::move(order), slot, pipes_);
  if (gone_) return;
  try {
    out_watch_ = std::make_unique<Watch>(loop(), pipes_.out.get(), EPOLLIN, [this](std::uint32_t) { on_output(); });
    err_watch_ = std::make_unique<Watch>(loop(), pipes_.err.get(), EPOLLIN, [this](std::uint32_t) { on_errors(); });
  } catch (const std::system_error& error) {
    return reject(std::string("cannot be watched: ") + error.what());
  }
  write_message();
}

bool PoolWorker::is_ready() {
  if (!is_idle()) return false;
  const bool had_errors = static_cast<bool>(pipes_.err);
  drain_errors(error_reads);
  if (!had_errors || pipes_.err) return true;
  kill();
  return false;
}

void PoolWorker::ask(PoolMessage message) {
  timer_.cancel();
  task_.emplace(std::move(message));
  write_message();
}

void PoolWorker::write_message() {
  const auto& timeout = task_->message.timeout;
  std::optional<Time> deadline;
  if (timeout) {
    deadline = task_->started_at + *timeout;
    timer_.arm_in(*timeout);
  }
  line_.erase(0, written_);  // what it answered without having read it
  line_ += message_line(task_->message, deadline);
  written_ = 0;
  pump_input();
}

void PoolWorker::pump_input() {
  input_watch_.reset();
  while (written_ < line_.size()) {
    const ssize_t put = ::write(pipes_.input.get(), line_.data() + written_, line_.size() - written_);
    if (put >= 0) {
      written_ += static_cast<std::size_t>(put);
    } else if (errno == EAGAIN) {
      return watch_input();
    } else if (errno != EINTR) {
      break;  // nobody reads any more: its end will be seen
    }
  }
  line_ = {};
}

void PoolWorker::watch_input() {
  try {
    input_watch_ = std::make_unique<Watch>(loop(), pipes_.input.get(), EPOLLOUT, [this](std::uint32_t) { pump_input(); });
  } catch (const std::system_error& error) {
    reject(std::string("cannot be watched: ") + error.what());
  }
}

/// A worker that has just answered may die, or be killed for another line, while the next message is on its way. One that
/// never answered is no better than the next one would be.
bool PoolWorker::may_pass_on() const {
  if (!has_answered_ || task_->stopped || task_->timed_out) return false;
  int unread = 0;
  return ::ioctl(pipes_.input.get(), FIONREAD, &unread) == 0 && static_cast<std::size_t>(unread) == written_;
}

// Output: answers

void PoolWorker::on_output() {
  if (ending_) {
    drop_output();
  } else {
    static_cast<void>(read_output());
  }
}

bool PoolWorker::read_output() {
  const auto space = lines_.prepare(line_read_bytes);
  const ssize_t got = ::read(pipes_.out.get(), space.data(), space.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    on_output_end();
    return false;
  }
  lines_.commit(static_cast<std::size_t>(got));
  std::optional<PoolAnswered> answered;
  while (const auto line = lines_.next_line()) {
    if (!ending_) on_line(*line, answered);
  }
  if (ending_) {
    lines_ = LineSplitter(0);
  } else if (lines_.overlong()) {
    reject("wrote a line of more than " + std::to_string(limits::pool_answer_bytes_max) + " bytes");
  } else if (!task_ && lines_.pending_bytes() > 0) {
    kill();
  } else {
    lines_.shrink();
  }
  if (answered) owner_.on_answered(*this, std::move(*answered));
  return true;
}

void PoolWorker::drop_output() {
  std::array<char, 4096> nowhere{};
  const ssize_t got = ::read(pipes_.out.get(), nowhere.data(), nowhere.size());
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) on_output_end();
}

void PoolWorker::on_line(std::string_view line, std::optional<PoolAnswered>& answered) {
  if (!task_) return kill();  // nobody has asked
  auto said = read_worker_line(parser_, line, task_->message.run.job);
  if (auto* bad = std::get_if<BadLine>(&said)) return reject(std::move(bad->reason));
  if (auto* progress = std::get_if<WorkerProgress>(&said)) {
    return owner_.on_progress({task_->message.run, static_cast<std::uint32_t>(progress->value * 1e6), std::move(progress->text)});
  }
  timer_.cancel();
  has_answered_ = true;
  drain_errors(error_reads);  // it wrote them before its answer
  answered = take_answer();
  if (auto* result = std::get_if<WorkerResult>(&said)) {
    answered->result = std::move(result->result);
  } else {
    answered->failure = std::move(std::get<PoolFailure>(said));
  }
  if (jobs_left_ && --*jobs_left_ == 0) leaving_ = true;
  if (leaving_) {
    retire();
  } else if (idle_timeout_) {
    timer_.arm_in(*idle_timeout_);
  }
}

PoolAnswered PoolWorker::take_answer() {
  Task task = std::move(*task_);
  task_.reset();
  PoolAnswered answered;
  answered.run = task.message.run;
  answered.timed_out = task.timed_out;
  answered.stopped = task.stopped;
  answered.started_at = task.started_at;
  answered.finished_at = wall_now();
  if (task.err) {
    task.err->close();
    answered.err = task.err->take_result();
  } else if (task.message.capture) {
    answered.err.emplace();
  }
  return answered;
}

void PoolWorker::on_output_end() {
  out_watch_.reset();
  out_ended_ = true;
  if (ending_) return;
  if (!task_) return kill();
  timer_.arm_in(end_patience);
}

void PoolWorker::reject(std::string reason) {
  if (task_) task_->verdict = PoolFailure{"bad_answer", "the pool's worker " + std::move(reason), std::nullopt, std::nullopt};
  kill();
}

// Output: its messages' stderr

void PoolWorker::on_errors() { drain_errors(1); }

void PoolWorker::drain_errors(int reads) {
  static std::array<char, line_read_bytes> buffer;
  for (; reads > 0 && pipes_.err; --reads) {
    const ssize_t got = ::read(pipes_.err.get(), buffer.data(), buffer.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      err_watch_.reset();
      pipes_.err.reset();
      return;
    }
    if (!task_ || !task_->message.capture) continue;
    const Run& run = task_->message.run;
    if (!task_->err) {
      task_->err.emplace(UniqueFd(), task_->message.output_limit,
                         output_path(hello().out_dir, run.job, run.attempt, StreamName::err));
    }
    task_->err->keep({buffer.data(), static_cast<std::size_t>(got)});
  }
}

// The end

void PoolWorker::stop(bool force) {
  task_->stopped = true;
  end_program(force);
}

void PoolWorker::end_program(bool force) {
  timer_.cancel();
  ending_ = true;
  program_->set_grace(task_->message.grace);
  program_->stop(force);
}

void PoolWorker::retire() {
  leaving_ = true;
  if (task_ || ending_) return;
  ending_ = true;
  input_watch_.reset();
  pipes_.input.reset();
  timer_.arm_in(leave_grace);
}

void PoolWorker::kill() {
  timer_.cancel();
  ending_ = true;
  input_watch_.reset();
  if (program_ != nullptr) program_->stop(true);
}

void PoolWorker::on_timer() {
  if (ending_) return kill();
  if (out_ended_) return program_->has_exited() ? kill() : reject("closed its standard output");
  if (!task_) return retire();  // idle for long enough
  task_->timed_out = true;
  owner_.on_stopping({task_->message.run});
  end_program(false);
}

void PoolWorker::on_program_ended(Program& program, RunEnded ended) {
  // Its last words may be an answer.
  leaving_ = true;
  while (task_ && !ending_ && out_watch_ && read_output()) {
  }
  gone_ = ending_ = true;
  timer_.cancel();
  input_watch_.reset();
  drain_errors(error_reads);
  out_watch_.reset();
  err_watch_.reset();
  host_.retire(program);
  if (task_ && may_pass_on() && owner_.on_unread(*this, task_->message)) task_.reset();
  if (task_) {
    auto failure = std::move(task_->verdict);
    PoolAnswered answered = take_answer();
    if (ended.ending == Ending::not_started) {
      failure = PoolFailure{"spawn", std::move(ended.message), std::nullopt, ended.code};
      answered.started_at = Time{};
    } else if (answered.stopped || answered.timed_out) {
      failure = PoolFailure{answered.timed_out ? "timed_out" : "cancelled", "the pool's worker was told to stop", std::nullopt,
                            std::nullopt};
    } else if (!failure) {
      failure =
          PoolFailure{"crashed", "the pool's worker " + describe(ended) + " before it answered", std::nullopt, std::nullopt};
    }
    answered.failure = std::move(failure);
    owner_.on_answered(*this, std::move(answered));
  }
  owner_.on_gone(*this);
}

}  // namespace stint::worker
