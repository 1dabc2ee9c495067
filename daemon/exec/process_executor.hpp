// Runs programs: hands each start to the least loaded runner and tells the observer what the runner reports.
//
// Slots are counted out to the runners: one goes with each start while there are any. Starts beyond that wait with a
// runner, which gives them the slots of its programs that end, so no slot stands idle while word of an end travels; a
// slot that a runner has no use for comes back and goes to one that has. A runner that dies is replaced. What had begun
// there ends as `lost`, but not before its tree is gone (Workers::on_death says when), what had ended counts, what had
// not begun is returned. While no runner is up, starts wait in order. It makes no decision about a program: timeouts,
// limits and kills are the runner's. I/O thread only; throws only bad_alloc.
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
  /// Asks for its runners at once. `workers` and `observer` must outlive it.
  ProcessExecutor(boost::asio::io_context& io, Workers& workers, Observer& observer, ProcessOptions options);

  void start(Order order) override;
  void stop(JobId id, Attempt attempt, bool force) override;
  void recall(JobId id, Attempt attempt) override;
  void on_recorded(JobId id, Attempt attempt) override;
  void close(std::function<void()> done) override;
  void signal(JobId id, Attempt attempt, int signal, DoneCallback done) override;
  void write_input(JobId id, Attempt attempt, std::string bytes, bool end, DoneCallback done) override;
  void read_output(OutputQuery query, OutputCallback done) override;

  /// Runners that are connected now.
  [[nodiscard]] std::size_t runners_up() const;

 private:
  using Run = worker::Run;
  struct Placed {
    RunnerLink* link = nullptr;
    bool ended = false;  ///< told, and not on record yet
  };

  void on_run_started(RunnerLink& link, const worker::RunStarted& started) override;
  void on_run_stopping(const worker::RunStopping& stopping) override;
  void on_run_ended(RunnerLink& link, worker::RunEnded ended) override;
  void on_run_returned(const Run& run) override;
  void on_slots_free(std::uint32_t slots) override;
  void on_runner_lost(RunnerLink& link) override;

  void add_runner();
  void on_runner_spawned(std::optional<Error> error, Worker worker);
  void on_runner_died(const WorkerDeath& death);
  void tell_of_runs(std::set<Run> runs, const WorkerDeath& death);
  /// Who gets the next start, with a slot or to wait for one; null where no runner is up.
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
  std::size_t spawning_ = 0;
  std::map<Run, Placed> placed_;
  std::uint32_t free_slots_;
  std::deque<Order> waiting_;
  std::vector<std::function<void()>> deferred_;  // questions about runs that wait
  boost::asio::steady_timer retry_timer_;
  bool closing_ = false;
  std::function<void()> closed_;
};

}  // namespace stint::exec
