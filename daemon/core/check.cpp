// Scheduler::check(): derives every index and count from the jobs again and compares.
#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>

#include "daemon/core/scheduler_state.hpp"

namespace stint::core {
namespace {

template <class T>
void expect(const T& derived, const T& kept, const char* what) {
  if (derived == kept) return;
  throw std::logic_error(std::string(what) + ": the jobs say " + std::to_string(derived) + ", kept is " + std::to_string(kept));
}

[[noreturn]] void wrong(const Job& job, const char* what) {
  throw std::logic_error("job " + std::to_string(job.id) + ": " + what);
}

struct DerivedLane {
  std::uint64_t running = 0;
  std::uint64_t durable = 0;
  std::uint64_t transient = 0;
  std::uint64_t inner = 0;
  std::uint64_t unbegun = 0;
  std::uint64_t limited_unbegun = 0;
  std::uint64_t lent = 0;
  std::uint64_t parked = 0;
  std::uint64_t doomed = 0;
  std::uint64_t inside = 0;
  std::uint64_t apart = 0;  // of a pool: in no line
};

struct Derived {
  std::map<const Permits*, DerivedLane> lanes;
  std::uint64_t unread = 0;
  std::uint64_t watched = 0;
  std::uint64_t stopping = 0;
  std::uint64_t foreground = 0;
  std::uint64_t foreground_running = 0;
  std::uint64_t finished = 0;
  std::uint64_t unfinished = 0;
  std::uint64_t waiting = 0;
  std::uint64_t expiring = 0;
};

}  // namespace

void Scheduler::check() const {
  const State& s = *state_;
  Derived derived;
  s.table.each_after(0, [&](const Job& job) {
    if (job.id >= s.next_id) wrong(job, "its id was never given");
    if (job.is_finished()) {
      ++derived.finished;
      if (std::get<Finished>(job.state).job->seq >= s.next_seq) wrong(job, "its seq was never given");
      return true;
    }
    const Permits& permits = s.lane(job);
    DerivedLane& lane = derived.lanes[&permits];
    const bool stands = permits.stands(job.durable, s.place(job));
    const bool may_start = job.is_queued() && (!job.limited || s.admission.is_ready(job.id));
    if (stands != may_start) wrong(job, stands ? "stands in line and is not queued" : "is queued and in no line");
    if (job.spec && job.limited != job.spec->needs_permits()) wrong(job, "its mark of permits is wrong");
    if (job.limited && s.admission.holds(job.id) != job.is_running()) {
      wrong(job, "holds permits and does not run, or the reverse");
    }
    if (job.limited && s.admission.knows(job.id) != (job.is_queued() || job.is_running())) wrong(job, "its permits are wrong");
    if (job.lane == Lane::pool && !stands) {
      ++lane.apart;
      if (!s.pools.at(job.pool).apart.contains(job.id)) wrong(job, "is in no line and its pool does not know of it");
    }
    ++derived.unfinished;
    const bool undecided = job.submitted_in > s.decided;
    if (!job.spec && (!job.durable || undecided || job.is_running())) wrong(job, "its specification is nowhere");
    derived.foreground += job.daemon || job.is_waiting() ? 0 : 1;
    const bool expires = job.expires_at != Time{} && job.attempt == 0 && (job.is_queued() || job.is_waiting());
    derived.expiring += expires ? 1 : 0;
    if (expires && !s.timetable.contains(Alarm::expire, job.expires_at, job.id)) wrong(job, "will never expire");
    if (const auto* const waiting = std::get_if<Waiting>(&job.state)) {
      ++derived.waiting;
      if (!s.timetable.contains(Alarm::wake, waiting->until, job.id)) wrong(job, "waits for a time that never comes");
      return true;
    }
    if (job.is_queued() && !stands) {
      ++lane.parked;
      if (job.durable && job.spec && !undecided) wrong(job, "lacks a permit and is not shelved");
      return true;
    }
    if (job.is_queued() && permits.inner.contains(s.place(job))) {
      ++lane.inner;
      if (s.drain != DrainScope::running || permits.line(job.durable).contains(s.place(job)))
        wrong(job, "stands where it must not");
      if (!job.spec && std::ranges::find(s.reading, job.id) == s.reading.end() &&
          std::ranges::find(s.missing, job.id) == s.missing.end()) {
        wrong(job, "may start and nobody asks for its specification");
      }
      return true;
    }
    if (job.is_queued()) {
      ++(job.durable ? lane.durable : lane.transient);
      const bool inside = job.durable && permits.window.covers(s.place(job));
      lane.inside += inside ? 1 : 0;
      if (job.durable && !inside && job.spec && !undecided) wrong(job, "stands deep in its line and is not shelved");
      if (inside && !job.spec && std::ranges::find(s.reading, job.id) == s.reading.end() &&
          std::ranges::find(s.missing, job.id) == s.missing.end()) {
        wrong(job, "stands at the front and nobody asks for its specification");
      }
      return true;
    }
    if (job.is_doomed()) {
      ++lane.doomed;
      derived.unread += job.spec ? 0 : 1;
      return true;
    }
    const auto& running = std::get<Running>(job.state);
    ++lane.running;
    derived.foreground_running += job.daemon ? 0 : 1;
    const bool unbegun = permits.pace && !running.run.started_at;
    lane.unbegun += unbegun ? 1 : 0;
    lane.limited_unbegun += unbegun && job.limited ? 1 : 0;
    if (unbegun != permits.unbegun.contains(s.place(job))) wrong(job, "its place among those not begun is wrong");
    const bool wanted_back = unbegun && running.recalled && job.lane == Lane::pool;
    if (wanted_back != permits.wanted_back.contains(s.place(job))) wrong(job, "its place among those wanted back is wrong");
    lane.lent += running.lenders > 0 ? 1 : 0;
    if (running.phase == Phase::lent && running.lenders == 0) wrong(job, "is shown as lent and waits for nothing");
    derived.stopping += running.phase == Phase::stopping ? 1 : 0;
    if (job.attempt == 0) wrong(job, "runs without an attempt");
    if ((running.phase == Phase::stopping) != (running.stop != StopCause::none)) wrong(job, "its phase does not fit its stop");
    const bool recovered = job.durable && job.submitted_in == 0;
    if (!recovered && job.durable && running.after == 0) wrong(job, "its start was not recorded");
    return true;
  });

  s.each_lane([&](const Permits& permits) {
    const DerivedLane& lane = derived.lanes[&permits];
    derived.watched += permits.stall_at ? 1 : 0;
    permits.durable.check();
    permits.transient.check();
    expect(lane.running, permits.used, "slots in use");
    expect(lane.lent, permits.lent, "slots that are lent");
    expect(permits.with_lent(), permits.capacity, "slots");
    expect(lane.unbegun, static_cast<std::uint64_t>(permits.unbegun.size()), "not begun");
    expect(lane.limited_unbegun, permits.limited_unbegun, "not begun with permits");
    expect(lane.durable, permits.durable.size(), "durable line");
    expect(lane.transient, permits.transient.size(), "transient line");
    permits.inner.check();
    expect(lane.inner, permits.inner.size(), "line of those who start in a drain");
    expect(lane.parked, permits.parked, "those that lack a permit");
    expect(lane.doomed, permits.doomed, "doomed");
    expect(lane.inside, permits.window.count(), "at the front");
    if (permits.window.count() < std::min((permits.window.size() + 1) / 2, permits.durable.size())) {
      throw std::logic_error("too few at the front of a line are loaded");
    }
    const Line* line = permits.next(s.starts_held);
    if (line != nullptr && !s.table.find(line->front().id)->spec) line = permits.next(true);
    const bool startable =
        line != nullptr && !permits.waits_for_recall(*line) && (!s.table.find(line->front().id)->limited || permits.slot_free());
    if (permits.any_free() && startable && s.starts_allowed()) throw std::logic_error("a slot is idle while a job waits for it");
  });
  std::as_const(s.pools).each([&](const PoolLane& pool) {
    expect(derived.lanes[&pool.permits].apart, static_cast<std::uint64_t>(pool.apart.size()), "of a pool, in no line");
    if (pool.is_over()) throw std::logic_error("a pool should be gone");
  });
  expect(derived.stopping, s.stopping, "stopping");
  expect(derived.foreground, s.foreground, "foreground");
  expect(derived.foreground_running, s.foreground_running, "foreground that runs");
  expect(derived.unfinished + derived.finished, static_cast<std::uint64_t>(s.table.size()), "jobs");
  s.table.check();

  std::uint64_t announced = 0;
  PersistNumber last = 0;
  for (const auto& entry : s.log.finishes()) {
    if (entry.number < last || entry.number > s.newest_persist) throw std::logic_error("finishes wait out of order");
    last = entry.number;
    const Job* const job = s.table.find(entry.id);
    if (job == nullptr) continue;  // its submit was refused
    if (!job->is_finished()) wrong(*job, "waits for its finish to be durable and is not finished");
    ++announced;
  }
  expect(derived.finished, announced, "finished jobs that wait for a commit");

  s.admission.check();
  s.leases.check(s.admission);
  for (const auto& [id, lease] : s.leases.all()) {
    const Job* const job = s.table.find(lease.what.holder.job);
    if (lease.what.holder.job != 0 && (job == nullptr || !job->is_running())) {
      throw std::logic_error("lease " + std::to_string(id) + " is held by a job that does not run");
    }
  }
  for (const std::string& owner : s.owners_waiting()) {
    const auto circle = s.circle_of(owner);
    if (!circle) continue;
    std::string told;
    for (const std::string& each : circle->told) told += ", " + each;
    throw std::logic_error(owner + " waits in a circle" + told);
  }
  if (!s.admission.changes.empty()) throw std::logic_error("permits have moved and nobody was told");
  s.timetable.check();
  expect(derived.waiting, s.timetable.size(Alarm::wake), "waiting");
  expect(derived.expiring, s.timetable.size(Alarm::expire), "expiring");
  expect(std::uint64_t{s.starts_held ? 1U : 0U}, s.timetable.size(Alarm::store), "starts held");
  expect(derived.watched, s.timetable.size(Alarm::stall), "stalls that are looked for");
  std::uint64_t doomed = 0;
  for (const JobId id : s.doomed) {
    const Job* const job = s.table.find(id);
    doomed += job != nullptr && job->is_doomed() && job->spec ? 1 : 0;
  }
  doomed += derived.unread;
  const auto derived_doomed = std::accumulate(derived.lanes.begin(), derived.lanes.end(), std::uint64_t{0},
                                              [](std::uint64_t sum, const auto& lane) { return sum + lane.second.doomed; });
  expect(derived_doomed, doomed, "jobs that have only to end");
  std::set<JobId> asked_for;  // one may have come into a window before
  const std::vector<JobId> unread(s.unread.begin(), s.unread.end());
  for (const auto* ids : {&s.reading, &unread}) {
    for (const JobId id : *ids) {
      const Job* const job = s.table.find(id);
      if (job != nullptr && job->is_doomed() && !job->spec) asked_for.insert(id);
    }
  }
  expect(derived.unread, static_cast<std::uint64_t>(asked_for.size()), "doomed and not loaded");
  if (s.reading.empty() && !(s.unread.empty() && s.missing.empty())) throw std::logic_error("nobody asks for what is missing");

  std::uint64_t ended = 0;
  for (const auto count : s.outcomes) ended += count;
  expect(ended + derived.unfinished, s.submitted, "submitted");
}

}  // namespace stint::core
