#include "daemon/core/scheduler.hpp"

#include <algorithm>
#include <stdexcept>

#include "common/error.hpp"
#include "daemon/core/scheduler_state.hpp"

namespace stint::core {
namespace {

/// How long durable starts wait after the store has refused one.
constexpr Duration refused_pause = std::chrono::milliseconds(100);
/// So many that wait for the same time go on in one step; the others in the next.
constexpr std::size_t due_max = 4'096;

}  // namespace

Scheduler::Scheduler(Config config) : state_(std::make_unique<State>(config)) {}
Scheduler::~Scheduler() = default;

// ---- events

JobId Scheduler::on_submit(std::vector<Submission> jobs, std::shared_ptr<const User> user, std::optional<JobId> parent, Time now,
                           Effects& out, std::optional<SubmitKey> key) {
  State& s = *state_;
  const Job* const from = parent ? s.table.find(*parent) : nullptr;
  // Nor from a job that was told to stop: a drain ends its daemon jobs once.
  const auto* const running = from == nullptr ? nullptr : std::get_if<Running>(&from->state);
  if (s.drain && (running == nullptr || running->stop != StopCause::none)) {
    throw Error(ErrorKind::draining, "the daemon is draining and takes no new work; submit again when that has ended");
  }
  const JobId first = s.next_id;
  if (jobs.empty()) return first;
  const bool durable = jobs.front().spec->durable;
  if (std::ranges::any_of(jobs, [durable](const Submission& each) { return each.spec->durable != durable; })) {
    throw std::logic_error("on_submit: durable and other jobs in one call");
  }

  Step step(now, s.newest_persist, out);
  PersistNumber number = 0;
  if (durable) {
    SubmitFact fact{.first = first, .parent = parent.value_or(0), .at = now, .user = user, .jobs = {}, .key = key};
    fact.jobs.reserve(jobs.size());
    for (const auto& each : jobs) {
      const auto [not_before, expires_at] = times_of(*each.spec, now);
      fact.jobs.push_back({each.spec, each.item, each.index, each.executor, each.lane, not_before, expires_at});
    }
    number = step.record(std::move(fact));
    s.log.submitted(number, first, jobs.size());
  }
  if (key) s.keys.add({.uid = user->uid, .key = std::move(*key), .first = first, .count = jobs.size()}, number);
  for (auto& each : jobs) s.enter(step, std::move(each), user, parent.value_or(0), number);
  s.accepted_after = durable ? number : s.reserve(step);
  s.fill_all(step);
  return first;
}

void Scheduler::on_started(JobId id, Attempt attempt, Time at, std::string worker, std::optional<std::int32_t> pid,
                           Effects& out) {
  State& s = *state_;
  Job* const job = s.running(id, attempt);
  if (job == nullptr || std::get<Running>(job->state).run.started_at) return;
  Step step(at, s.newest_persist, out);
  const bool held_others = job->limited || std::get<Running>(job->state).recalled;
  s.begin(step, *job, at, std::move(worker), pid);
  if (held_others) s.fill(step, s.lane(*job));
  if (job->daemon) s.stop_daemons(step);
}

void Scheduler::on_progress(JobId id, Attempt attempt, double value, std::string text, Time now, Effects& out) {
  Job* const job = state_->running(id, attempt);
  if (job == nullptr) return;
  auto& run = std::get<Running>(job->state).run;
  if (!run.details) run.details = std::make_unique<RunDetails>();
  run.details->progress = value;
  out.emplace_back(
      Publish{0, EventKind::progress, id, now, job->spec, job->user, attempt, value, std::move(text), nullptr, nullptr});
}

void Scheduler::on_stopping(JobId id, Attempt attempt, Time now, Effects& out) {
  State& s = *state_;
  Job* const job = s.running(id, attempt);
  if (job == nullptr) return;
  Step step(now, s.newest_persist, out);
  s.note_timeout(step, *job);
}

void Scheduler::on_ended(JobId id, Attempt attempt, EndReport report, Time now, Effects& out) {
  State& s = *state_;
  Job* const job = s.running(id, attempt);
  if (job == nullptr) return;
  const Lane lane = job->lane;
  const std::uint16_t pool = job->pool;
  // Where starts were ahead, one of them has the slot already.
  Step step(now, s.newest_persist, out, s.lane(*job).ahead() > 0);
  s.end_attempt(step, *job, std::move(report));
  s.stop_daemons(step);
  s.fill_lane(step, lane, pool);
}

void Scheduler::on_returned(JobId id, Attempt attempt, Time now, Effects& out) {
  State& s = *state_;
  Job* const job = s.running(id, attempt);
  if (job == nullptr || std::get<Running>(job->state).run.started_at) return;
  Step step(now, s.newest_persist, out);
  const Lane lane = job->lane;
  const std::uint16_t pool = job->pool;
  if (std::get<Running>(job->state).stop == StopCause::none) {
    s.take_back(step, *job);
  } else {
    s.finish_returned(step, *job);
  }
  s.stop_daemons(step);
  s.fill_lane(step, lane, pool);
}

void Scheduler::on_commit_time(Duration commit, Time now, Effects& out) {
  State& s = *state_;
  const auto note = [&](Permits& permits) {
    permits.pace->note_commit(commit);
    permits.set_allowance();
    Step step(now, s.newest_persist, out, permits.ahead() > 0);
    s.fill(step, permits);
  };
  note(s.lanes[static_cast<std::size_t>(Lane::program)]);
  s.pools.each([&](PoolLane& pool) { note(pool.permits); });
}

CancelResult Scheduler::on_cancel(std::span<const JobId> ids, bool force, Time now, Effects& out) {
  State& s = *state_;
  Step step(now, s.newest_persist, out);
  CancelResult result;
  for (const JobId id : ids) {
    if (Job* const job = s.table.find(id)) {
      s.cancel(step, *job, force, result);
    } else {
      result.unknown.push_back(id);
    }
  }
  s.stop_daemons(step);
  s.fill_all(step);  // who stood first may have waited for its specification
  return result;
}

CancelResult Scheduler::on_cancel_group(std::string_view group, bool force, Time now, Effects& out) {
  State& s = *state_;
  Step step(now, s.newest_persist, out);
  CancelResult result;
  const Group* const found = s.table.group(group);
  for (Job* job = found == nullptr ? nullptr : found->first; job != nullptr;) {
    Job* const next = job->group_next;  // a job that finishes leaves the list
    s.cancel(step, *job, force, result);
    job = next;
  }
  s.stop_daemons(step);
  s.fill_all(step);  // who stood first may have waited for its specification
  return result;
}

PersistNumber Scheduler::on_forget(std::vector<JobId> ids, Effects& out) {
  State& s = *state_;
  if (ids.empty()) return s.newest_persist;
  for (const JobId id : ids) s.keys.forget(id);
  Step step(Time{}, s.newest_persist, out);
  return step.record(ForgetFact{std::move(ids)});
}

Step Scheduler::step(Time now, Effects& out) { return {now, state_->newest_persist, out}; }

void Scheduler::on_durable(PersistNumber number) {
  State& s = *state_;
  s.log.decided(number, [&s](JobId id) { s.table.erase(id); });
  s.reservation.decided(number);
  s.leases.decided(number);
  s.semaphores_made.decided(number);
  s.shelve_decided(number);
}

void Scheduler::on_loaded(std::vector<LoadedSpec> specs, Time now, Effects& out) {
  State& s = *state_;
  Step step(now, s.newest_persist, out);
  s.reading.clear();
  for (auto& each : specs) s.take_loaded(step, std::move(each));
  s.stop_daemons(step);
  s.fill_all(step);
}

// Emits no fact: what is refused next may be the very submit that the fact would be about. All that needs one waits
// for the timer.
void Scheduler::on_refused(PersistNumber number, Time now, Effects& out) {
  State& s = *state_;
  Step step(now, s.newest_persist, out);
  for (const auto& entry : s.log.starts_of(number)) {
    Job* const job = s.table.find(entry.id);
    if (job != nullptr && job->is_running()) s.put_back(step, *job);
  }
  for (const auto& entry : s.log.submits_of(number)) {
    for (JobId id = entry.first; id < entry.first + entry.count; ++id) {
      if (Job* const job = s.table.find(id)) s.vanish(step, *job);
    }
    s.keys.drop(entry.first);
    s.log.refused(entry, s.newest_persist);
  }
  for (const LeaseId id : s.leases.granted_in(number)) {
    s.admission.leave(s.leases.find(id)->waiter, now);
    s.leases.end(id);
  }
  for (const auto& [name, before] : s.semaphores_made.refused(number)) s.resize(step, name, before);
  if (!std::exchange(s.starts_held, true)) s.set_alarm(step, Alarm::store, now + refused_pause, 0);
  s.fill_all(step);
}

void Scheduler::on_timer(Time now, Effects& out) {
  State& s = *state_;
  Step step(now, s.newest_persist, out);
  s.timetable.rang();
  for (std::size_t left = due_max; left > 0; --left) {
    const auto due = s.timetable.take_due(now);
    if (!due) break;
    s.on_due(step, *due);
  }
  s.stop_daemons(step);
  s.fill_all(step);
  if (const auto next = s.timetable.next()) step.emit(ArmTimer{*next});
}

void Scheduler::on_slots(Lane lane, std::uint32_t slots, Time now, Effects& out) {
  State& s = *state_;
  Permits& permits = s.lanes[static_cast<std::size_t>(lane)];
  permits.slots = slots;
  Step step(now, s.newest_persist, out);
  permits.capacity = permits.with_lent();
  permits.set_allowance();
  s.fill(step, permits);
}

void Scheduler::on_lend(JobId id, Attempt attempt, bool waits, Time now, Effects& out) {
  State& s = *state_;
  Job* const job = s.running(id, attempt);
  if (job == nullptr) return;
  Step step(now, s.newest_persist, out);
  s.lend(step, *job, waits);
  s.fill(step, s.lane(*job));
}

// ---- questions

const Job* Scheduler::find(JobId id) const { return std::as_const(state_->table).find(id); }

void Scheduler::each_of_group(std::string_view group, const std::function<bool(const Job&)>& visit) const {
  const Group* const found = state_->table.group(group);
  for (const Job* job = found == nullptr ? nullptr : found->first; job != nullptr; job = job->group_next) {
    if (!visit(*job)) return;
  }
}

std::uint64_t Scheduler::unfinished_in_group(std::string_view group) const {
  const Group* const found = state_->table.group(group);
  return found == nullptr ? 0 : found->unfinished;
}

const Keyed* Scheduler::find_key(std::uint32_t uid, std::string_view word) const { return state_->keys.find(uid, word); }

void Scheduler::each_after(JobId after, std::size_t limit, const std::function<bool(const Job&)>& visit) const {
  if (limit == 0) return;
  state_->table.each_after(after, [&](const Job& job) { return visit(job) && --limit > 0; });
}

std::vector<Reason> Scheduler::why(const Job& job) const {
  if (const auto* const waiting = std::get_if<Waiting>(&job.state)) {
    return {{.kind = job.attempt > 0 ? Reason::Kind::retry : Reason::Kind::time, .lane = job.lane, .until = waiting->until}};
  }
  if (state_of(job) != stint::State::queued) return {};
  const Permits& lane = state_->lane(job);
  const Reason draining{.kind = Reason::Kind::draining, .lane = job.lane};
  if (job.limited) {
    std::vector<Reason> reasons;
    if (!state_->starts_allowed()) reasons.push_back(draining);
    for (Admission::Lack& lack : state_->admission.lacks(job.id)) {
      reasons.push_back({.kind = Reason::Kind::permit,
                         .lane = job.lane,
                         .ahead = lack.ahead,
                         .until = {},
                         .permit = lack.kind,
                         .name = std::move(lack.name)});
    }
    if (!reasons.empty() && reasons.back().kind == Reason::Kind::permit) return reasons;
  }
  const Reason slots{.kind = Reason::Kind::slots, .lane = job.lane, .ahead = lane.before(state_->place(job))};
  if (state_->starts_allowed() || lane.inner.contains(state_->place(job))) return {slots};
  if (slots.ahead == 0 && lane.running() < lane.capacity) return {draining};
  return {draining, slots};
}

stint::State Scheduler::state_of(const Job& job) const {
  if (job.is_finished()) return stint::State::finished;
  if (job.is_waiting()) return stint::State::waiting;
  return !job.is_running() || state_->lane(job).is_ahead(state_->place(job)) ? stint::State::queued : stint::State::running;
}

JobRecord Scheduler::record_of(const Job& job, const LoadedSpec* shelved) const {
  JobRecord record = describe(job);
  if (shelved != nullptr) {
    record.spec = shelved->spec.get();
    record.item = shelved->item.get();
  }
  if (job.is_running() && state_of(job) == stint::State::queued) {
    record.state = stint::State::queued;
    record.phase.reset();
    --record.attempt;
  }
  return record;
}

Counts Scheduler::counts() const {
  Counts counts;
  for (std::size_t i = 0; i < lane_count; ++i) {
    const Permits& permits = state_->lanes[i];
    counts.queued[i] = permits.waiting();
    counts.running[i] = permits.running();
    counts.slots[i] = permits.capacity;
  }
  counts.waiting = state_->timetable.size(Alarm::wake);
  constexpr auto pools = static_cast<std::size_t>(Lane::pool);
  std::as_const(state_->pools).each([&](const PoolLane& pool) {
    counts.queued[pools] += pool.permits.waiting();
    counts.running[pools] += pool.permits.running();
    counts.slots[pools] += pool.permits.capacity;
  });
  counts.outcomes = state_->outcomes;
  counts.submitted = state_->submitted;
  counts.stopping = state_->stopping;
  return counts;
}

bool Scheduler::idle() const {
  bool idle = true;
  const bool starts = state_->drain != DrainScope::none;
  state_->each_lane([&](const Permits& each) { idle = idle && each.used == 0 && (each.waiting() == 0 || !starts); });
  return idle;
}

bool Scheduler::was_refused(JobId id) const { return state_->log.was_refused(id); }
PersistNumber Scheduler::accepted_after() const { return state_->accepted_after; }
PersistNumber Scheduler::newest_persist() const { return state_->newest_persist; }
JobId Scheduler::last_id() const { return state_->next_id - 1; }
Seq Scheduler::last_seq() const { return state_->next_seq - 1; }

}  // namespace stint::core
