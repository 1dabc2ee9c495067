// The engine: carries what the core decides to the store, the executors and the feed, and what they answer back.
//
// It decides nothing itself. Events go into the scheduler, effects come out; an effect that waits for a Persist is held
// until the store says that it is durable, then released in the order in which it arose. I/O thread only; the crossing
// points to other threads are the store's and the executors' own.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/system_timer.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/api/backend.hpp"
#include "daemon/core/scheduler.hpp"
#include "daemon/db/store.hpp"
#include "daemon/exec/executor.hpp"
#include "daemon/exec/plugins.hpp"
#include "daemon/exec/pool_executor.hpp"
#include "daemon/feed/asio_timers.hpp"
#include "daemon/feed/exchange.hpp"
#include "daemon/feed/feed.hpp"
#include "daemon/figures.hpp"
#include "daemon/held.hpp"

namespace stint {

/// What the engine needs to know of the daemon around it.
struct EngineOptions {
  core::Config core;
  std::string instance;                    ///< names this run of the daemon
  std::filesystem::path output_dir;        ///< where kept output lies that is too large to travel
  std::vector<exec::PluginState> plugins;  ///< for daemon.info
};

/// When the running attempt began, as far as its executor has told.
[[nodiscard]] inline std::optional<Time> begin_of(const core::Job& job) {
  const auto* running = std::get_if<core::Running>(&job.state);
  return running == nullptr ? std::nullopt : running->run.started_at;
}

class Engine final : public api::Backend, public exec::Observer, public feed::Ledger {
 public:
  /// Runs `work` on the thread pool, then `done` on the I/O thread.
  using Offload = std::function<void(std::function<void()> work, std::function<void()> done)>;

  Engine(boost::asio::io_context& io, db::Store& store, const TaskRegistry& tasks, EngineOptions options);
  ~Engine() override;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// The other side of each lane and the feed; set once, before anything is submitted.
  void attach(core::Lane lane, exec::Executor& executor) { executors_[static_cast<std::size_t>(lane)] = &executor; }
  void attach(exec::PoolExecutor& pools) {
    pools_ = &pools;
    attach(core::Lane::pool, pools);
  }
  void attach(Offload offload) { offload_ = std::move(offload); }

  /// What an earlier daemon left unfinished; before anything is submitted.
  void recover(db::Recovered recovered, const std::vector<PoolSpec>& configured_pools);

  /// Called after each end that was announced.
  void on_finished(std::function<void(const core::FinishedJob&)> callback) { on_finished_ = std::move(callback); }
  /// Called with the reason when the store begins to refuse new work, and with nothing when it takes some again.
  void on_refusing(std::function<void(const std::string& reason)> callback) { on_refusing_ = std::move(callback); }
  /// Called once, when a shutdown begins.
  void on_shutdown(std::function<void()> callback) { on_shutdown_ = std::move(callback); }
  /// Called once, when a shutdown has run its course and no job is left.
  void on_idle(std::function<void()> callback) { on_idle_ = std::move(callback); }

  /// No job is left that runs: nothing waits for a time here any more; the next daemon does.
  void close() { timer_.cancel(); }
  /// Ends what still runs without any grace; in a detach that is the tasks.
  void kill_all();
  /// Programs are to outlive this daemon.
  [[nodiscard]] bool detaching() const { return detaching_; }

  // api::Backend
  [[nodiscard]] const core::Scheduler& scheduler() const override { return scheduler_; }
  [[nodiscard]] db::Store& store() override { return store_; }
  [[nodiscard]] feed::Feed& feed() override { return feed_; }
  [[nodiscard]] feed::Exchange& exchange() override { return exchange_; }
  [[nodiscard]] const TaskRegistry& tasks() const override { return tasks_; }
  [[nodiscard]] nlohmann::json info() const override;
  [[nodiscard]] nlohmann::json stats() const override;
  void when_durable(core::PersistNumber number, std::function<void(std::optional<Error>)> done) override;
  void when_seen(core::PersistNumber number, std::function<void(bool stands)> done) override;
  api::Submitted submit(std::vector<NewJob> jobs, std::shared_ptr<const core::User> user, std::string_view field,
                        std::optional<core::SubmitKey> key, std::optional<JobId> parent) override;
  void lend(JobId job, Attempt attempt, bool waits) override;
  void progress(JobId job, Attempt attempt, double value, std::string text) override {
    on_progress(job, attempt, value, std::move(text));
  }
  core::CancelResult cancel(std::span<const JobId> ids, bool force) override;
  core::CancelResult cancel_group(std::string_view group, bool force) override;
  core::PersistNumber forget(std::vector<JobId> ids) override;
  core::Changed set_semaphore(const std::string& name, std::uint64_t permits) override;
  void acquire(core::Acquire what, std::optional<Duration> timeout, AcquireDone done) override;
  core::PersistNumber release_lease(core::LeaseId lease, core::Holder holder) override;
  core::PersistNumber resume_lease(core::LeaseId lease, core::Holder holder) override;
  void begin_wait(core::JobWait wait) override { scheduler_.on_wait(std::move(wait)); }
  void end_wait(std::uint64_t call) override { scheduler_.on_wait_over(call); }
  void connection_gone(std::uint64_t connection) override;
  void signal(JobId id, int signal, std::function<void(std::optional<Error>)> done) override;
  void write_input(JobId id, InputPiece piece, std::function<void(std::optional<Error>)> done) override;
  void read_output(OutputQuestion question, std::function<void(std::optional<Error>, api::OutputPiece)> done) override;
  core::PersistNumber set_pool(PoolSpec spec, std::shared_ptr<const core::User> user) override;
  core::PersistNumber remove_pool(const std::string& name) override;
  void drain(core::DrainScope scope) override;
  void undrain() override;
  void shutdown(ShutdownMode mode) override;
  void offload(std::function<void()> work, std::function<void()> done) override;

  // feed::Ledger; when_durable is the Backend's
  void step(const std::function<void(core::Step&)>& work) override;
  [[nodiscard]] core::PersistNumber newest() const override { return scheduler_.newest_persist(); }

  // exec::Observer
  void on_started(JobId id, Attempt attempt, exec::Started started) override;
  void on_progress(JobId id, Attempt attempt, double value, std::string text) override;
  void on_stopping(JobId id, Attempt attempt) override;
  void on_ended(JobId id, Attempt attempt, EndReport report) override;
  void on_returned(JobId id, Attempt attempt) override;

 private:
  using OutputDone = std::function<void(std::optional<Error>, api::OutputPiece)>;
  using InputDone = std::function<void(std::optional<Error>)>;

  /// Questions and input for a job that has not begun: asked again when it begins or ends.
  struct Parked {
    std::vector<std::function<void()>> again;
    std::size_t input_bytes = 0;
  };

  void settle();
  void perform(core::Effect& effect);
  void hand_to_store(core::Persist persist);
  void release(const core::Effect& effect);
  void begin(const core::Start& start);
  void on_commit(const db::CommitResult& result);
  void refuse(core::PersistNumber number, const std::string& reason);
  void note_refusing(std::string reason);
  void arm_timer(Time at);
  void require_staying() const;
  void cancel_all(bool force);
  void cancel_where(const std::function<bool(const core::Job&)>& chosen, bool force);
  void stop_tasks(bool force);
  void look_for_idle();
  void park(JobId id, std::function<void()> again);
  void wake(JobId id);
  void take_input(JobId id, const std::shared_ptr<const JobSpec>& spec, InputPiece piece, InputDone done);
  void read_unfinished(const core::Job& job, const std::shared_ptr<const JobSpec>& spec, OutputQuestion question,
                       OutputDone done);
  void read_live(const core::Job& job, OutputQuestion question, OutputDone done);
  void read_attempt(std::shared_ptr<const JobSpec> spec, OutputQuestion question, bool last, OutputDone done);
  void read_finished(const core::FinishedPtr& job, OutputQuestion question, OutputDone done);
  [[nodiscard]] exec::Executor& executor_of(core::Lane lane) { return *executors_[static_cast<std::size_t>(lane)]; }

  boost::asio::io_context& io_;
  db::Store& store_;
  const TaskRegistry& tasks_;
  EngineOptions options_;
  core::Scheduler scheduler_;
  feed::AsioTimers timers_;
  feed::Feed feed_;
  feed::Exchange exchange_{feed_, *this};
  std::array<exec::Executor*, core::lane_count> executors_{};
  exec::PoolExecutor* pools_ = nullptr;
  Offload offload_;

  core::Effects effects_;     // not yet performed
  core::Effects performing_;  // being performed, which appends to effects_
  bool settling_ = false;
  Held held_;  // waiting for their Persist
  core::PersistNumber durable_ = 0;
  std::string refusing_;                          // why the store refused the newest new work; empty where it took it
  core::PersistNumber asked_ = 0;                 // the newest Persist with new work that the store has not decided; 0: none
  std::vector<core::PersistNumber> turned_away_;  // refused without asking the store, and not undone yet
  core::PersistNumber timed_ = 0;                 // the Persist whose commit is being timed; 0: none
  std::chrono::steady_clock::time_point timed_since_;
  boost::asio::system_timer timer_;  // of the wall clock, which may be set
  std::optional<Time> timer_at_;
  boost::unordered_flat_map<JobId, Parked> parked_;

  std::unordered_map<std::uint64_t, AcquireDone> acquires_;  // calls that are not answered yet

  bool shutting_down_ = false;
  bool detaching_ = false;
  std::uint64_t tasks_running_ = 0;  // begun on an executor that dies with the daemon
  bool cancelled_all_ = false;
  std::function<void(const core::FinishedJob&)> on_finished_;
  std::function<void(const std::string&)> on_refusing_;
  std::function<void()> on_shutdown_;
  std::function<void()> on_idle_;

  Time started_at_;
  RateMeter submits_;
  RateMeter finishes_;
  LatencyHistogram queue_time_;
  LatencyHistogram run_time_;
};

}  // namespace stint
