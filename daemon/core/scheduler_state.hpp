// All that the scheduler knows, and the legal transitions of a job, one function each. For daemon/core only.
//
//   none → Queued, Waiting  enter        Queued → Running       start            Running → Queued, Doomed  put_back (refused)
//   Waiting → Queued        wake         starting → running     begin            Running → Queued          take_back (returned)
//   Running → Waiting       retry        Running → stopping     request_stop     Running → Finished        finish_running
//   Queued, Waiting, Doomed → Finished   finish_unstarted                        Running → Finished        finish_returned
//   Queued, Waiting → Doomed doom (its specification is not here)
//   none → any              restore      Finished → none        leave            any → none                vanish (refused)
//
// A transition keeps every index and count right and appends its facts and effects; which one comes next is decided by
// the events in scheduler.cpp. Throws std::bad_alloc only.
#pragma once

#include <array>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/admission.hpp"
#include "daemon/core/circles.hpp"
#include "daemon/core/commit_log.hpp"
#include "daemon/core/job_waits.hpp"
#include "daemon/core/leases.hpp"
#include "daemon/core/permits.hpp"
#include "daemon/core/pool_table.hpp"
#include "daemon/core/reservation.hpp"
#include "daemon/core/scheduler.hpp"
#include "daemon/core/step.hpp"
#include "daemon/core/timetable.hpp"
#include "daemon/core/undo_log.hpp"

namespace stint::core {

struct Scheduler::State {
  explicit State(const Config& config);

  Duration ageing;
  Duration reclaim;  // how long leases of an earlier daemon are kept for their holders
  JobTable table;
  CommitLog log;
  KeyTable keys;
  std::array<Permits, lane_count> lanes;  // that of Lane::pool is empty: each pool has its own
  PoolTable pools;
  std::uint32_t loaded_jobs;
  Pace new_pace;  // of programs and of each pool, before anything is known
  Timetable timetable;
  Admission admission;
  Leases leases;
  UndoLog<std::uint64_t> semaphores_made;  // sizes before; 0: it was not there
  JobWaits job_waits;
  std::vector<WaiterId> grants_held;                  // calls that have their permits while the store refuses
  std::vector<std::pair<Lane, std::uint16_t>> woken;  // a job there has its permits, or lacks one now; may stand here twice
  JobId next_id;
  Seq next_seq;
  Reservation reservation;
  PersistNumber newest_persist = 0;
  PersistNumber accepted_after = 0;
  std::uint64_t submitted = 0;
  std::uint64_t stopping = 0;
  std::uint64_t foreground = 0;          // unfinished, not waiting for a time, and not `daemon`
  std::uint64_t foreground_running = 0;  // of these, those that hold a slot
  std::array<std::uint64_t, 7> outcomes{};
  std::optional<DrainScope> drain;
  bool daemons_told = false;  // in this drain: none has come to a line since
  bool starts_held = false;   // the store refuses: no durable job starts before Alarm::store
  std::vector<JobId> doomed;  // in state Doomed since their start was refused, or no longer here
  // ---- specifications
  PersistNumber decided = 0;                              // up to here submits are on disk, and can be read again
  std::deque<std::pair<PersistNumber, JobId>> unshelved;  // outside of the windows, until their submit is decided
  std::vector<JobId> missing;                             // came into a window without one; some may have left it again
  std::deque<JobId> unread;                               // in state Doomed for want of one
  std::vector<JobId> reading;                             // the Load that is on its way
  std::string scratch;                                    // records are encoded here, so that each is allocated once, in its size

  [[nodiscard]] bool starts_allowed() const { return !drain || *drain == DrainScope::queued; }
  [[nodiscard]] Permits& lane(const Job& job) {
    return job.lane == Lane::pool ? pools.at(job.pool).permits : lanes[static_cast<std::size_t>(job.lane)];
  }
  [[nodiscard]] const Permits& lane(const Job& job) const {
    return job.lane == Lane::pool ? pools.at(job.pool).permits : lanes[static_cast<std::size_t>(job.lane)];
  }
  template <class Visit>
  void each_lane(Visit&& visit) const {
    for (const Permits& permits : lanes) visit(permits);
    pools.each([&visit](const PoolLane& pool) { visit(pool.permits); });
  }
  [[nodiscard]] Place place(const Job& job) const { return {line_key(job.submitted_at, job.priority, ageing), job.id}; }
  /// What news of a non-durable job must wait for so that its id and seq are never given away again: nearly always 0.
  PersistNumber reserve(Step& step);
  /// A running job whose attempt is this one; null otherwise.
  [[nodiscard]] Job* running(JobId id, Attempt attempt);

  // ---- transitions
  Job& restore(Step& step, StoredJob stored);
  std::uint16_t pool_of(const std::string& name);
  void enter(Step& step, Submission submission, const std::shared_ptr<const User>& user, JobId parent, PersistNumber number);
  void start(Step& step, Job& job);
  void begin(Step& step, Job& job, Time at, std::string worker, std::optional<std::int32_t> pid);
  /// `force` of one that is stopping already emits another Stop.
  void request_stop(Step& step, Job& job, bool force);
  void note_timeout(Step& step, Job& job);
  void wake(Step& step, Job& job);
  void finish_unstarted(Step& step, Job& job, Outcome outcome);
  void doom(Step& step, Job& job, Outcome outcome);
  void finish_running(Step& step, Job& job, Outcome outcome, EndReport report);
  void retry(Step& step, Job& job, Outcome outcome, EndReport report);
  void put_back(Step& step, Job& job);
  void take_back(Step& step, Job& job);
  void finish_returned(Step& step, Job& job);
  void vanish(Step& step, Job& job);

  // ---- what follows from them
  /// Cancelled or expired before it started.
  void end_unstarted(Step& step, Job& job, Outcome outcome);
  /// Asks for what is missing at the front of a line.
  void keep_loaded(Step& step, Permits& permits);
  /// Submits are on disk now: those that stand deep in a line are shelved.
  void shelve_decided(PersistNumber number);
  void take_loaded(Step& step, LoadedSpec loaded);
  /// The attempt has ended: the job runs again, or has finished.
  void end_attempt(Step& step, Job& job, EndReport report);
  /// What the timetable says is due now.
  void on_due(Step& step, Timetable::Entry due);
  void look_for_stall(Step& step, std::uint64_t number);
  void watch_stall(Step& step, Permits& permits, Time at);
  void set_alarm(Step& step, Alarm alarm, Time at, std::uint64_t number);
  /// A job that goes before one that was started ahead has joined the line: wants that one back.
  void recall_for(Step& step, const Job& job);
  /// Wants back all that were started ahead: nothing more is to begin.
  void recall_ahead(Step& step, const Permits& permits);
  void lend(Step& step, Job& job, bool waits);
  /// What is lent has changed: whoever runs them is told.
  void set_capacity(Step& step, Lane lane, std::uint16_t pool);
  /// Gives the free slots of a lane to the first in its line.
  void fill(Step& step, Permits& permits);
  /// The lane that a job stood in; null where its pool went with it.
  [[nodiscard]] Permits* find_lane(Lane lane, std::uint16_t pool);
  void fill_lane(Step& step, Lane lane, std::uint16_t pool);
  void fill_all(Step& step);

  // ---- permits: permit_transitions.cpp
  /// What has become of who waits for permits: jobs join and leave their lines, calls get their leases.
  void apply_permits(Step& step);
  /// Then gives slots to the jobs that have their permits now.
  void fill_woken(Step& step);
  void resize(Step& step, const std::string& semaphore, std::uint64_t permits);
  void release(Step& step, LeaseId id);
  void release_all(Step& step, Holder holder);
  /// A call has its permits: it gets its lease, where the store takes facts or is to be asked whether it does.
  void give_lease(Step& step, WaiterId waiter, bool asks_store);
  /// The attempt of a job has ended: no call of its waits any more.
  void end_waits(Step& step, JobId job);

  // ---- circles: circle_search.cpp
  [[nodiscard]] std::optional<Circles::Circle> circle_of(const std::string& first) const;
  /// Throws `conflict` where this owner waits in a circle.
  void refuse_circle(const std::string& first) const;
  /// This owner has come to hold or to wait for something without a call of its own: a circle that this has closed loses one
  /// call.
  void break_circles(Step& step, const std::string& first);
  /// Who waits by a call: no circle is without one of them.
  [[nodiscard]] std::vector<std::string> owners_waiting() const;
  [[nodiscard]] std::vector<Circles::Wait> waits_of(const std::string& owner) const;

  // ---- a drain: drain.cpp
  /// Once only daemon jobs are left, or where they alone hold up what is queued: tells them to stop.
  void stop_daemons(Step& step);
  [[nodiscard]] std::vector<JobId> daemons_left() const;
  /// Who holds slots that others wait for: nothing else would ever make them go.
  [[nodiscard]] std::vector<JobId> daemons_in_the_way() const;
  /// In a drain of what runs: it was submitted by a job that runs.
  [[nodiscard]] bool is_inner(const Job& job) const;
  /// Which drain there is has changed: those who may start stand in Permits::inner, all others in their lines.
  void sort_inner();
  [[nodiscard]] Line* next_inner(Permits& permits);
  PoolLane& add_pool(std::shared_ptr<const PoolSpec> spec, std::shared_ptr<const User> owner);
  /// Of a job that never ran because its pool is gone.
  [[nodiscard]] static JobError gone_error(const PoolSpec& pool);
  void begin_removal(Step& step, PoolLane& pool);
  /// A pool that is being removed goes with its last job.
  void drop_if_over(const PoolLane& pool);
  /// Cancels in whatever state; appends the id to the list that says what it came to.
  void cancel(Step& step, Job& job, bool force, CancelResult& result);

 private:
  void finish(Step& step, Job& job, Outcome outcome, EndReport report, bool ran);
  void publish(Step& step, const Job& job, EventKind kind, PersistNumber after, Time at);
  void leave_unfinished(Job& job);
  [[nodiscard]] bool is_deep(const Job& job) const;
  void shelve(Job& job);
  void join_line(Job& job);
  void leave_line(Job& job);
  /// It may start as soon as a slot is free.
  void stand_in_line(Step& step, Job& job);
  /// Out of its line or the timetable: it starts, ends or vanishes.
  void stop_standing(Step& step, Job& job);
  void give_slots(Step& step, Permits& permits);
  /// The line whose first job may start now, a free slot given; null where there is none.
  [[nodiscard]] Line* next_line(Permits& permits);
  /// It needs permits and has none: it stands in their lines only, or leaves them.
  void park(Job& job);
  void unpark(Job& job);
  void note_woken(const Job& job);
  void set_expiry(Step& step, const Job& job);
  void clear_expiry(const Job& job);
  /// False where it is wanted back already, or ends.
  bool recall(Step& step, JobId id);
  /// Its pool, where it has one, is told that it is in no line, or that it is there again or ends.
  void stand_apart(const Job& job) {
    if (job.lane == Lane::pool) pools.at(job.pool).apart.insert(job.id);
  }
  void stand_apart_no_more(const Job& job) {
    if (job.lane == Lane::pool) pools.at(job.pool).apart.erase(job.id);
  }
  void take_slot(Job& job);
  /// Its attempt is over or was never begun: the slot is free.
  void leave_slot(Step& step, Job& job);
};

/// The permits that a job needs to run.
[[nodiscard]] std::vector<Need> needs_of(const JobSpec& spec);

/// What a specification says of times, for a job that is submitted now.
struct JobTimes {
  std::optional<Time> not_before;
  std::optional<Time> expires_at;
};
[[nodiscard]] JobTimes times_of(const JobSpec& spec, Time now);

/// The record of a job in any state, with pointers into it.
[[nodiscard]] JobRecord describe(const Job& job);

}  // namespace stint::core
