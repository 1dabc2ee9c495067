// The scheduler: which job runs when. A value; every decision of the daemon about jobs is made here.
//
// Functions take an event and the time and append effects; there is no I/O, no clock, no thread, no log. The same
// sequence of events gives the same effects, so the whole of it runs in a simulation (tests/unit/simulation). A job
// that cannot run stands in exactly one line and is touched again only when that line moves: no path scans all jobs.
//
// A finished job stays here until its FinishFact is durable (`on_durable`), then the store answers for it.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/core/effects.hpp"
#include "daemon/core/job_table.hpp"
#include "daemon/core/job_waits.hpp"
#include "daemon/core/key_table.hpp"
#include "daemon/core/leases.hpp"
#include "daemon/core/line.hpp"
#include "daemon/core/step.hpp"

namespace stint::core {

/// One job of a submit, already decoded and validated.
struct Submission {
  std::shared_ptr<const JobSpec> spec;
  std::shared_ptr<const json::Raw> item;
  std::optional<std::uint32_t> index;
  ExecutorKind executor{};  ///< resolved: never empty
  Lane lane{};              ///< of Lane::pool: `spec` names one that is there and not being removed
};

struct Config {
  std::array<std::uint32_t, lane_count> slots{};  ///< by Lane; those of pools are their sizes
  Duration ageing = std::chrono::seconds(1);      ///< how much age one point of priority is worth
  /// From a program's end to the next start, commits aside: see Pace. Zero: never more starts than slots.
  Duration turnaround{};
  Duration company{};  ///< how long the end of a program may wait on its way to be told with others
  /// So many durable jobs at the front of each line have their specification in memory.
  std::uint32_t loaded_jobs = 1'024;
  JobId first_id = 1;
  Seq first_seq = 1;
  LeaseId first_lease = 1;
  Duration reclaim = std::chrono::seconds(10);  ///< leases of an earlier daemon stay held so long for their holders
};

/// Semaphores and leases as a start of the daemon finds them.
struct StoredPermits {
  std::vector<SemaphoreFact> semaphores;
  std::vector<LeaseFact> leases;
};

struct CancelResult {
  std::vector<JobId> cancelled;
  std::vector<JobId> stopping;
  std::vector<JobId> already_finished;  ///< still here, waiting for its commit
  std::vector<JobId> unknown;           ///< not here: finished and stored, or never existed
};

/// One exact reason why a job does not run.
struct Reason {
  enum class Kind : std::uint8_t { slots, draining, time, retry, permit } kind{};
  Lane lane{};
  std::uint64_t ahead = 0;  ///< jobs before it in the line
  Time until{};             ///< time, retry: when it will stand in line
  PermitKind permit{};      ///< permit: of which kind
  std::string name{};       ///< permit: its name
};

/// A pool as it is now.
struct PoolView {
  std::shared_ptr<const PoolSpec> spec;
  std::shared_ptr<const User> owner;  ///< null: it stands in the configuration
  bool removing = false;              ///< takes no more jobs; gone when the last of them has ended
  std::uint64_t queued = 0;
  std::uint64_t running = 0;
  std::uint64_t unfinished = 0;  ///< these, and who waits for a time
};

/// What a drain waits for: nothing, what runs, or what is queued too. Never for who waits for a time, which it cannot hurry.
enum class DrainScope : std::uint8_t { none, running, queued };

struct Counts {
  std::uint64_t waiting = 0;
  std::array<std::uint64_t, lane_count> queued{};
  std::array<std::uint64_t, lane_count> running{};
  std::array<std::uint32_t, lane_count> slots{};
  std::array<std::uint64_t, 7> outcomes{};  ///< by Outcome, since the start
  std::uint64_t submitted = 0;
  std::uint64_t stopping = 0;
};

/// How many jobs a drain of this scope waits for.
[[nodiscard]] std::uint64_t drain_pending(const Counts& counts, DrainScope scope);

/// Throws `not_found` where there is no such semaphore, `limit_exceeded` where it is smaller; errors name these fields.
void require_semaphore(const Admission& admission, const std::string& name, std::uint64_t permits, const std::string& name_field,
                       const std::string& permits_field);

class Scheduler {
 public:
  explicit Scheduler(Config config);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // ---- events; each appends its effects in the order in which they are to be applied

  /// What an earlier daemon left unfinished, before anything else; ascending ids below Config::first_id. Jobs that had
  /// not started stand in line again. Programs and messages to pools that had are running as far as is known: an
  /// executor will say how they are, and is told to stop those that were cancelled. Tasks that had are lost with that daemon.
  void on_recovered(std::vector<StoredJob> jobs, std::vector<KeyedSubmit> keys, Time now, Effects& out,
                    StoredPermits permits = {});
  /// All or none; ids are consecutive. Returns the first id. Throws Error `draining`. Jobs that find a free slot start
  /// in the same Persist. Submissions of one call must agree in `durable`.
  /// A `key` must be free (find_key); it lies in the Persist of its jobs and goes with the last record of them.
  JobId on_submit(std::vector<Submission> jobs, std::shared_ptr<const User> user, std::optional<JobId> parent, Time now,
                  Effects& out, std::optional<SubmitKey> key = std::nullopt);
  void on_started(JobId id, Attempt attempt, Time at, std::string worker, std::optional<std::int32_t> pid, Effects& out);
  void on_progress(JobId id, Attempt attempt, double value, std::string text, Time now, Effects& out);
  /// The executor has told it to stop because its timeout has passed.
  void on_stopping(JobId id, Attempt attempt, Time now, Effects& out);
  /// Ends the attempt, and the job with it unless it runs again; gives the slot to the next in line. Ignored where the attempt is
  /// not running.
  void on_ended(JobId id, Attempt attempt, EndReport report, Time now, Effects& out);
  /// The attempt never began and never will: it was wanted back, or its worker died before. Stands in line again with the
  /// same number to come, or ends where it was told to stop.
  void on_returned(JobId id, Attempt attempt, Time now, Effects& out);
  /// How long the last commit took; more starts go ahead when commits are slow.
  void on_commit_time(Duration commit, Time now, Effects& out);
  CancelResult on_cancel(std::span<const JobId> ids, bool force, Time now, Effects& out);
  CancelResult on_cancel_group(std::string_view group, bool force, Time now, Effects& out);
  /// Drops finished records from the store. The caller has checked that they are finished.
  PersistNumber on_forget(std::vector<JobId> ids, Effects& out);
  /// For what is no job: its facts share the numbers of those about jobs.
  [[nodiscard]] Step step(Time now, Effects& out);
  /// Everything up to `number` is on disk: finished jobs leave.
  void on_durable(PersistNumber number);
  /// Persist `number` was refused; called newest first. Undoes its new work exactly: a submit's jobs vanish, a start's
  /// job stands in line again and is tried after 0.1 s. Effects held for `number` are the caller's to drop.
  void on_refused(PersistNumber number, Time now, Effects& out);
  /// What a Load asked for. One is on its way at a time; the front of the lines goes before jobs that have only to end.
  void on_loaded(std::vector<LoadedSpec> specs, Time now, Effects& out);
  /// The time of an ArmTimer has come: who waited for it goes on. Called early or twice it does nothing.
  void on_timer(Time now, Effects& out);
  /// Capacity of a lane changes (a worker is gone, a worker is back); not of a pool.
  void on_slots(Lane lane, std::uint32_t slots, Time now, Effects& out);
  /// A connection of this attempt waits, or does not any more. While one does, the job's slot is not counted.
  void on_lend(JobId id, Attempt attempt, bool waits, Time now, Effects& out);
  /// Takes no new submits but from jobs that run; only `queued` goes on starting what is here, `running` what jobs that run have
  /// submitted. When only daemon jobs are left of what this waits
  /// for, they are told to stop. The latest call counts.
  void on_drain(DrainScope scope, Time now, Effects& out);
  void on_undrain(Time now, Effects& out);

  /// Stored pools; before on_recovered.
  void on_pools_recovered(std::vector<StoredPool> pools);
  /// A pool comes, or is another one now; `owner` null: it stands in the configuration. One of this name is not being removed.
  void on_pool_set(std::shared_ptr<const PoolSpec> spec, std::shared_ptr<const User> owner, Time now, Effects& out);
  /// Its jobs are cancelled, and it is gone when the last of them has ended. Ignored where there is none.
  void on_pool_remove(std::string_view name, Time now, Effects& out);

  // ---- permits

  Changed on_semaphore(const std::string& name, std::uint64_t permits, Time now, Effects& out);
  /// Granted at once or later; then the lease exists and Granted is emitted. Throws `not_found` (no such semaphore),
  /// `limit_exceeded` (more than its size), `conflict` (it would wait in a circle).
  void on_acquire(Acquire acquire, Time now, Effects& out);
  /// The call waits no longer; nothing where it does not.
  void on_call_left(std::uint64_t call, Time now, Effects& out);
  /// Throws `not_found`, and `permission_denied` where another holds it.
  PersistNumber on_release(LeaseId lease, Holder holder, Time now, Effects& out);
  /// The lease is this holder's from now on. Throws `not_found`, and `conflict` where its holder is still there.
  PersistNumber on_resume(LeaseId lease, Holder holder, Time now, Effects& out);
  void on_connection_gone(std::uint64_t connection, Time now, Effects& out);
  /// A running job waits for others until on_wait_over, or until its connection or itself has gone. Throws `conflict` where that
  /// would be in a circle; then it does not wait.
  void on_wait(JobWait wait);
  void on_wait_over(std::uint64_t call);

  // ---- questions

  [[nodiscard]] const Admission& admission() const;
  [[nodiscard]] const Leases& leases() const;
  [[nodiscard]] const Job* find(JobId id) const;
  /// Unfinished jobs of a group in no particular order; stops when `visit` returns false.
  void each_of_group(std::string_view group, const std::function<bool(const Job&)>& visit) const;
  [[nodiscard]] std::uint64_t unfinished_in_group(std::string_view group) const;
  [[nodiscard]] const Keyed* find_key(std::uint32_t uid, std::string_view word) const;
  /// Jobs here (unfinished, or finished and not durable) with an id above `after`, ascending; at most `limit` are visited.
  void each_after(JobId after, std::size_t limit, const std::function<bool(const Job&)>& visit) const;
  [[nodiscard]] std::vector<Reason> why(const Job& job) const;
  /// What everybody outside sees: who was started ahead is queued until it begins.
  [[nodiscard]] stint::State state_of(const Job& job) const;
  /// Of a shelved job with what the store has of it.
  [[nodiscard]] JobRecord record_of(const Job& job, const LoadedSpec* shelved = nullptr) const;
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] std::optional<PoolView> find_pool(std::string_view name) const;
  /// In the order of their names.
  [[nodiscard]] std::vector<PoolView> pools() const;
  [[nodiscard]] bool draining() const;
  /// No unfinished job is here but those that wait for a time, and, where nothing starts any more, those that have not begun.
  [[nodiscard]] bool idle() const;
  /// The job's submit was refused: effects about it that are still held, for whichever number, are to be dropped. Known
  /// until all that was emitted before the refusal is decided.
  [[nodiscard]] bool was_refused(JobId id) const;
  /// What the answer to the last on_submit must wait for; 0 where its jobs are not durable.
  [[nodiscard]] PersistNumber accepted_after() const;
  /// The newest Persist so far: what an answer built now must wait for.
  [[nodiscard]] PersistNumber newest_persist() const;
  [[nodiscard]] JobId last_id() const;
  [[nodiscard]] Seq last_seq() const;

  /// Re-derives every index and count from the jobs; throws std::logic_error that names the first difference.
  void check() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stint::core
