// What every executor offers and what it owes: the daemon drives all of them through this interface.
//
// All calls and all callbacks happen on the I/O thread. Each `start` is answered by exactly one `on_ended` or, where the
// work never began, `on_returned`, whatever happens; `on_started` comes before `on_ended` where the work began at all. An
// executor enforces the job's `timeout`, `grace` and `output_limit` itself. It never decides what runs: it is given jobs
// in order, programs also a few more than there are slots, which it begins as slots come free.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/error.hpp"
#include "common/job.hpp"

namespace stint::exec {

/// One attempt to run: what a Start carries.
struct Order {
  JobId id = 0;
  Attempt attempt = 0;
  std::shared_ptr<const JobSpec> spec;
  std::shared_ptr<const json::Raw> item;  ///< null where the job does not come from a template
  std::uint32_t uid = 0;                  ///< whose job it is
};

struct Started {
  Time at{};
  std::string worker;               ///< for example "runner-1"; empty for threads and coroutines
  std::optional<std::int32_t> pid;  ///< of a program
};

/// Told what happens to work that was started; implemented by the engine.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_started(JobId id, Attempt attempt, Started started) = 0;
  virtual void on_progress(JobId id, Attempt attempt, double value, std::string text) = 0;
  /// Its timeout has passed and it was told to stop.
  virtual void on_stopping(JobId id, Attempt attempt) = 0;
  virtual void on_ended(JobId id, Attempt attempt, EndReport report) = 0;
  /// It never began and never will: it may be started again under the same number.
  virtual void on_returned(JobId id, Attempt attempt) = 0;
};

/// A piece of a running program's output.
struct OutputPiece {
  std::string bytes;
  std::uint64_t offset = 0;  ///< of the first byte; above the one asked for where the middle was not kept
  std::uint64_t next = 0;    ///< where to go on reading
  bool end = false;          ///< the stream has ended and `next` is its end
};

struct OutputQuery {
  JobId id = 0;
  Attempt attempt = 0;
  StreamName of = StreamName::out;
  std::uint64_t offset = 0;
  std::uint64_t limit = 0;
  /// Answer only when there is at least one byte at `offset`, or the stream has ended. Following is a chain of these:
  /// the question waits where the bytes arise, so nothing polls, and a slow reader asks later and holds up nobody.
  bool wait = false;
};

/// A piece, or an Error: `not_found` where the attempt is no longer (or not) run here: the store has it then.
using OutputCallback = std::function<void(std::optional<Error>, OutputPiece)>;
/// No value: done.
using DoneCallback = std::function<void(std::optional<Error>)>;

class Executor {
 public:
  virtual ~Executor() = default;

  virtual void start(Order order) = 0;

  /// Asks a started attempt to stop: SIGTERM to its processes or its stop token; SIGKILL after the job's grace, at
  /// once where `force`. May be repeated. An attempt that is not known (has just ended) is ignored.
  virtual void stop(JobId id, Attempt attempt, bool force) = 0;

  /// So many may run at once from now on; what runs beyond that goes on.
  virtual void set_slots(std::uint32_t /*slots*/) {}

  /// Wants an attempt back that has not begun; where it has, nothing happens.
  virtual void recall(JobId /*id*/, Attempt /*attempt*/) {}

  /// The attempt's end, each that was told by `on_ended`, is on record: nothing about it needs to be kept any more.
  virtual void on_recorded(JobId /*id*/, Attempt /*attempt*/) {}

  /// Stops everything, waits for it, gives its threads and processes back, then calls `done`. No start may follow.
  virtual void close(std::function<void()> done) = 0;

  /// The same, but what can outlive the daemon goes on for the next one, and nothing more is told of it.
  virtual void detach(std::function<void()> done) { close(std::move(done)); }

  /// Whether an earlier daemon has started this attempt and how it stands now is not known yet; if so, `call` is made when it is.
  virtual bool await_recovery(JobId /*id*/, Attempt /*attempt*/, std::function<void()> /*call*/) { return false; }

  // For programs only; others answer `conflict`.
  virtual void signal(JobId id, Attempt attempt, int signal, DoneCallback done);
  /// `done` when the program's pipe or the bounded buffer before it has taken the bytes: this is the back-pressure.
  virtual void write_input(JobId id, Attempt attempt, InputPiece piece, DoneCallback done);
  virtual void read_output(OutputQuery query, OutputCallback done);
};

}  // namespace stint::exec
