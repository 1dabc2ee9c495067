// Runs programs: hands each start to the least loaded runner and tells the observer what the runner reports.
//
// Slots are counted out to the runners: one goes with each start while there are any. Starts beyond that wait with a
// runner, which gives them the slots of its programs that end, so no slot stands idle while word of an end travels; a
// slot that a runner has no use for comes back and goes to one that has. A runner that dies is replaced. What had begun
// there ends as `lost`, but not before its tree is gone (Workers::on_death says when), what had ended counts, what had
// not begun is returned. A connection that breaks is no death: it is made anew, and what the runner says then counts, as in a
// take-over. While no runner is up, starts wait in order. Runs of an earlier daemon are taken over by
// `recover`. It makes no decision about a program: timeouts, limits and kills are the runner's. I/O thread only; throws
// only bad_alloc.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/exec/executor.hpp"
#include "daemon/exec/runner_link.hpp"
#include "daemon/exec/workers.hpp"

namespace stint::exec {

struct ProcessOptions {
  std::string out_dir;      ///< STATE/out, must exist; output above limits::output_inline_bytes_max is kept there
  std::string instance;     ///< STINT_INSTANCE; unlike that of any other daemon, so that programs are told apart by it
  std::string socket_path;  ///< STINT_SOCKET
  std::size_t runners = 2;
  std::uint32_t slots = 1;                      ///< programs that run at once, over all runners
  std::uint32_t epoch = 1;                      ///< grows with each daemon on one state directory; not 0
  std::function<void(const std::string&)> log;  ///< gets a sentence when something went wrong; may be empty
};

class ProcessExecutor final : public Executor, private RunnerLink::Listener {
 public:
  /// `workers` and `observer` must outlive it. It has no runners before `recover`.
  ProcessExecutor(boost::asio::io_context& io, Workers& workers, Observer& observer, ProcessOptions options);

  /// Takes over the runs of earlier daemons and asks for its runners. To be called once; starts before it wait. `expected`:
  /// what the store has as started and not ended. Each of these is answered like a start: by on_started where it lives,
  /// by on_ended, or by on_returned where it never began. Nobody is waited for by the clock: what a living runner has is
  /// known when it answers. `rebooted`: the machine was restarted since; then what nobody knows of is lost. What lives and
  /// is not expected is killed. `done` is called when all of `expected` is accounted for.
  void recover(std::vector<worker::Run> expected, bool rebooted, std::function<void()> done);

  void start(Order order) override;
  void stop(JobId id, Attempt attempt, bool force) override;
  void set_slots(std::uint32_t slots) override;
  void recall(JobId id, Attempt attempt) override;
  void on_recorded(JobId id, Attempt attempt) override;
  void close(std::function<void()> done) override;
  void detach(std::function<void()> done) override;
  bool await_recovery(JobId id, Attempt attempt, std::function<void()> call) override;
  void signal(JobId id, Attempt attempt, int signal, DoneCallback done) override;
  void write_input(JobId id, Attempt attempt, InputPiece piece, DoneCallback done) override;
  void read_output(OutputQuery query, OutputCallback done) override;

  /// Runners that take starts now.
  [[nodiscard]] std::size_t runners_up() const;

 private:
  using Run = worker::Run;
  struct Placed {
    RunnerLink* link = nullptr;
    bool durable = true;
    bool ended = false;        ///< told, and not on record yet
    std::optional<bool> stop;  ///< asked for; true: by force
  };
  /// Started, and not accounted for.
  struct Expected {
    std::string runner;  ///< who alone can know of it; empty: any
    bool durable = true;
  };

  /// Of a program that has ended before, or that ends while these are gathered.
  struct FoundEnd {
    worker::RunEnded ended;
    std::string runner;
  };

  void on_run_started(RunnerLink& link, const worker::RunStarted& started) override;
  void on_run_stopping(const worker::RunStopping& stopping) override;
  void on_run_ended(RunnerLink& link, worker::RunEnded ended) override;
  void on_run_returned(const Run& run) override;
  void on_slots_free(std::uint32_t slots) override;
  void on_run_found(RunnerLink& link, const worker::RunStarted& started) override;
  void on_ended_run_found(RunnerLink& link, worker::RunEnded ended) override;
  void tell_end(worker::RunEnded ended, const std::string& runner);
  void tell_found_ends();
  void on_runner_answered(RunnerLink& link) override;
  void on_runner_lost(RunnerLink& link) override;
  void on_reconnected(const std::string& name, UniqueFd socket);
  /// What only this runner could know of.
  [[nodiscard]] std::set<Run> take_expected_of(const std::string& runner);

  void on_survey(Survey survey);
  void finish_recovery();
  void add_missing_runners();
  void add_missing_runners_later();
  void add_runner();
  void add_link(Worker worker, bool taken_over);
  void leave(const std::string& name);
  void on_runner_spawned(std::optional<Error> error, Worker worker);
  void on_runner_died(const WorkerDeath& death);
  void tell_of_runs(std::set<Run> runs, std::set<Run> unrecorded, const WorkerDeath& death);
  void lose(const worker::BegunRun& begun, std::string message);
  void remove_if_recorded(const std::string& name);
  void begin_waiting();
  /// A slot is free, and is not kept for what is expected to run.
  [[nodiscard]] bool has_slot() const { return free_slots_ > static_cast<std::int64_t>(expected_.size()); }
  /// Who gets the next start, with a slot or to wait for one; null where no runner is up or more runs than should.
  [[nodiscard]] RunnerLink* choose_runner() const;
  [[nodiscard]] RunnerLink* runner_of(const Run& run) const;
  void begin(RunnerLink& link, const Order& order);
  void deal_slots();
  void give_back_waiting(const Run& run);
  /// True where the run waits for a runner: `call` is made again when that has changed.
  [[nodiscard]] bool defer(const Run& run, std::function<void()> call);
  void make_deferred_calls();
  void finish_if_closed();

  boost::asio::io_context& io_;
  Workers& workers_;
  Observer& observer_;
  ProcessOptions options_;
  worker::Hello hello_;
  std::map<std::string, std::unique_ptr<RunnerLink>> runners_;  // by name, until they are dead
  std::vector<std::unique_ptr<RunnerLink>> left_;               // detached
  std::size_t spawning_ = 0;
  std::map<Run, Placed> placed_;
  std::int64_t free_slots_;  // below 0 where more programs were found alive than there are slots
  std::deque<Order> waiting_;
  std::vector<std::function<void()>> deferred_;  // questions about runs that wait
  boost::asio::steady_timer retry_timer_;
  std::map<Run, Expected> expected_;
  std::set<std::string> unanswered_;                 // runners that may know of them
  std::optional<std::vector<FoundEnd>> found_ends_;  // while they are gathered: until all have answered, or for a while
  boost::asio::steady_timer found_ends_timer_;
  bool surveyed_ = false;
  bool rebooted_ = false;
  std::function<void()> recovered_;
  std::map<Run, std::string> kept_;  // told, not on record, by the dead runner whose folder tells of them
  bool closing_ = false;
  std::function<void()> closed_;
};

}  // namespace stint::exec
