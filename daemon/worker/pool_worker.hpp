// The step machine of one worker of a pool: idle, busy with one message, ending.
//
// Its process is a Program like any other, which is spawned, watched and tree-killed by the same code; this adds what its
// pipes mean. A message ends with the worker's answer, or, where the worker dies, is stopped or answers what is no
// answer, when its whole tree is gone: then the message has failed and the worker's place is free. The runner's thread;
// throws only bad_alloc and what the event loop throws.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/framing.hpp"
#include "common/pool_protocol.hpp"
#include "daemon/worker/pool_lines.hpp"
#include "daemon/worker/program.hpp"

namespace stint::worker {

/// Our ends of a worker's pipes.
struct WorkerPipes {
  UniqueFd input;
  UniqueFd out;
  UniqueFd err;
};

/// What pools need of their runner.
class PoolHost : public ProgramHost {
 public:
  /// Spawns the worker process that `order` describes for `owner`, which hears of its end; null where that has come already.
  virtual Program* launch(ProgramHost& owner, Begin order, std::size_t slot, WorkerPipes& pipes) = 0;
  /// To be destroyed after this turn.
  virtual void retire(Program& program) = 0;
  /// Nothing where the disk has no room.
  virtual std::optional<std::size_t> take_slot() = 0;
  virtual void free_slot(std::size_t slot) = 0;
  using ProgramHost::send;
  virtual void send(const RunReturned& frame) = 0;
  virtual void send(const PoolAnswered& frame) = 0;
  virtual void send(const PoolProgress& frame) = 0;
};

class PoolWorker final : private ProgramHost {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_progress(const PoolProgress& progress) = 0;
    virtual void on_stopping(const RunStopping& stopping) = 0;
    /// Its message is over; it may be given another one where it `is_idle`.
    virtual void on_answered(PoolWorker& worker, PoolAnswered answered) = 0;
    /// It died with a message that it cannot have seen. False where nobody else can be given it.
    virtual bool on_unread(PoolWorker& worker, PoolMessage& message) = 0;
    /// Its processes are gone: to be destroyed after this turn.
    virtual void on_gone(PoolWorker& worker) = 0;
  };

  PoolWorker(PoolHost& host, Owner& owner, const SetPool& pool);

  /// Starts the process with its first message; it may be gone when this returns.
  void start(Begin order, std::size_t slot, PoolMessage message);
  /// Idle and, as far as its pipes tell, alive: what it wrote to stderr with nothing to do is dropped, for it belongs to
  /// nobody, and one that has just closed it is on its way out.
  [[nodiscard]] bool is_ready();
  /// Only where it is ready.
  void ask(PoolMessage message);
  /// Stops its message, and with it the worker: SIGTERM, and SIGKILL after the job's grace, or at once.
  void stop(bool force);
  /// It gets no more messages, and ends after the one that it has.
  void retire();
  void kill();

  [[nodiscard]] bool is_idle() const { return !ending_ && !leaving_ && !task_; }
  /// Has a message, or can have one.
  [[nodiscard]] bool holds_place() const { return task_.has_value() || !ending_; }
  [[nodiscard]] bool is_gone() const { return gone_; }
  [[nodiscard]] std::uint32_t pool() const { return pool_; }
  [[nodiscard]] pid_t pid() const { return program_ == nullptr ? 0 : program_->pid(); }
  /// When its message began.
  [[nodiscard]] Time since() const { return task_ ? task_->started_at : Time{}; }

 private:
  struct Task {
    explicit Task(PoolMessage what) : message(std::move(what)), started_at(wall_now()) {}
    PoolMessage message;
    Time started_at;
    bool timed_out = false;
    bool stopped = false;
    std::optional<PoolFailure> verdict;  // why its worker is being killed
    std::optional<Capture> err;
  };

  // ProgramHost: what its process needs goes to the runner, what the process tells comes here.
  EventLoop& loop() override { return host_.loop(); }
  const Hello& hello() override { return host_.hello(); }
  void write_slot(std::size_t slot, const SlotRecord& record) override { host_.write_slot(slot, record); }
  void want_scan(Clock::duration delay) override { host_.want_scan(delay); }
  bool orphans_alive() override { return host_.orphans_alive(); }
  std::uint64_t orphans_ended() override { return host_.orphans_ended(); }
  void send(const RunStarted& /*frame*/) override {}
  void send(const RunStopping& /*frame*/) override {}
  void send(const Done& /*frame*/) override {}
  void send(const Piece& /*frame*/) override {}
  void secure(const Begin& /*order*/, RunEnded& /*ended*/) override {}
  void on_program_ended(Program& program, RunEnded ended) override;

  void write_message();
  void pump_input();
  void watch_input();
  [[nodiscard]] bool may_pass_on() const;
  void on_output();
  /// False where there is nothing more now.
  bool read_output();
  void drop_output();
  void on_line(std::string_view line, std::optional<PoolAnswered>& answered);
  void on_output_end();
  void on_errors();
  /// Reads what is there, at most so many times.
  void drain_errors(int reads);
  void reject(std::string reason);
  void on_timer();
  void end_program(bool force);
  [[nodiscard]] PoolAnswered take_answer();

  PoolHost& host_;
  Owner& owner_;
  std::uint32_t pool_;
  std::optional<std::uint64_t> jobs_left_;
  std::optional<Duration> idle_timeout_;
  Program* program_ = nullptr;
  std::optional<Task> task_;
  bool leaving_ = false;  // ends after its message
  bool ending_ = false;   // gets no message any more, and its process ends
  bool gone_ = false;
  bool out_ended_ = false;
  bool has_answered_ = false;
  WorkerPipes pipes_;
  std::string line_;         // its message, until it is written
  std::size_t written_ = 0;  // of its message
  LineSplitter lines_;
  json::Parser parser_;
  std::unique_ptr<Watch> input_watch_;
  std::unique_ptr<Watch> out_watch_;
  std::unique_ptr<Watch> err_watch_;
  Timer timer_;
};

}  // namespace stint::worker
