// The slots of a lane: who gets one, what is started ahead of them and called back, and what is lent.
#include "daemon/core/scheduler_state.hpp"

namespace stint::core {

void Scheduler::State::take_slot(Job& job) {
  Permits& permits = lane(job);
  ++permits.used;
  if (!job.daemon) ++foreground_running;
  if (permits.pace) {
    permits.unbegun.insert(place(job));
    if (job.limited) ++permits.limited_unbegun;
  }
  stand_apart(job);
}

void Scheduler::State::leave_slot(Step& step, Job& job) {
  const auto& state = std::get<Running>(job.state);
  Permits& permits = lane(job);
  --permits.used;
  if (!job.daemon) --foreground_running;
  if (state.phase == Phase::stopping) --stopping;
  if (state.lenders > 0) {
    --permits.lent;
    set_capacity(step, job.lane, job.pool);
  }
  if (permits.pace && !state.run.started_at) {
    permits.unbegun.erase(place(job));
    permits.wanted_back.erase(place(job));
    if (job.limited) --permits.limited_unbegun;
  }
  stand_apart_no_more(job);
  if (job.limited) admission.leave(job.id, step.now);
}

// One for one: the slots of those that are wanted back are enough for those that go first.
void Scheduler::State::recall_for(Step& step, const Job& job) {
  if (job.limited && !admission.is_ready(job.id)) return;
  const Permits& permits = lane(job);
  auto last = permits.unbegun.rbegin();
  for (std::uint64_t left = permits.ahead(); left > 0 && place(job) < *last; --left, ++last) {
    if (recall(step, last->id)) return;
  }
}

// The last first: should a worker of a pool take another message while the runner reads this, it is the first of them.
void Scheduler::State::recall_ahead(Step& step, const Permits& permits) {
  auto last = permits.unbegun.rbegin();
  for (std::uint64_t left = permits.ahead(); left > 0; --left, ++last) recall(step, last->id);
}

bool Scheduler::State::recall(Step& step, JobId id) {
  Job& job = *table.find(id);
  auto& state = std::get<Running>(job.state);
  if (state.recalled || state.stop != StopCause::none) return false;
  state.recalled = true;
  if (job.lane == Lane::pool) lane(job).wanted_back.insert(place(job));
  step.emit(Recall{state.after, job.lane, job.id, job.attempt});
  return true;
}

void Scheduler::State::lend(Step& step, Job& job, bool waits) {
  auto& state = std::get<Running>(job.state);
  if (!waits && state.lenders == 0) return;
  const bool lent = state.lenders > 0;
  state.lenders += waits ? 1U : -1U;
  if (lent == (state.lenders > 0)) return;
  Permits& permits = lane(job);
  lent ? --permits.lent : ++permits.lent;
  if (state.phase == Phase::running || state.phase == Phase::lent) state.phase = lent ? Phase::running : Phase::lent;
  set_capacity(step, job.lane, job.pool);
}

void Scheduler::State::set_capacity(Step& step, Lane lane, std::uint16_t pool) {
  Permits& permits = *find_lane(lane, pool);
  if (permits.capacity == permits.with_lent()) return;
  permits.capacity = permits.with_lent();
  permits.set_allowance();
  step.emit(SlotsNow{lane, permits.capacity, lane == Lane::pool ? pools.at(pool).spec : nullptr});
}

void Scheduler::State::fill(Step& step, Permits& permits) {
  give_slots(step, permits);
  fill_woken(step);
}

void Scheduler::State::fill_lane(Step& step, Lane lane, std::uint16_t pool) {
  if (Permits* const left = find_lane(lane, pool)) give_slots(step, *left);
  fill_woken(step);
}

void Scheduler::State::fill_all(Step& step) {
  for (auto& permits : lanes) give_slots(step, permits);
  pools.each([&](PoolLane& pool) { give_slots(step, pool.permits); });
  fill_woken(step);
}

// Where the specification of who stands first is not here, it comes from the store; who needs none goes on meanwhile.
Line* Scheduler::State::next_line(Permits& permits) {
  if (!starts_allowed()) return next_inner(permits);
  Line* const line = permits.next(starts_held);
  return line == nullptr || table.find(line->front().id)->spec ? line : permits.next(true);
}

void Scheduler::State::give_slots(Step& step, Permits& permits) {
  if (!admission.changes.empty()) apply_permits(step);
  while (permits.any_free()) {
    Line* const line = next_line(permits);
    if (line == nullptr || permits.waits_for_recall(*line)) break;
    Job* const job = table.find(line->front().id);
    if (job->limited && !permits.slot_free()) break;
    if (job->durable && line != &permits.inner) permits.window.left(line->front());
    line->pop_front();
    if (job->limited) {
      const bool taken = admission.take(job->id, step.now);
      if (!taken) park(*job);
      apply_permits(step);
      if (!taken) continue;
    }
    start(step, *job);
  }
  if (permits.ahead() > 0 && !permits.stall_at) watch_stall(step, permits, step.now + permits.pace->stalled_after());
  keep_loaded(step, permits);
}

Permits* Scheduler::State::find_lane(Lane lane, std::uint16_t pool) {
  if (lane != Lane::pool) return &lanes[static_cast<std::size_t>(lane)];
  PoolLane* const left = pools.find(pool);
  return left == nullptr ? nullptr : &left->permits;
}

// What runs now is longer than what was measured: those that were started ahead for it stand in line again, where the
// next slot, whichever it is, goes to the first of them.
void Scheduler::State::look_for_stall(Step& step, std::uint64_t number) {
  Permits& permits =
      number == 0 ? lanes[static_cast<std::size_t>(Lane::program)] : pools.at(static_cast<std::uint16_t>(number - 1)).permits;
  permits.stall_at.reset();
  if (permits.ahead() == 0) return;
  if (const Time due = permits.last_begun + permits.pace->stalled_after(); step.now < due) return watch_stall(step, permits, due);
  permits.pace->forget();
  permits.set_allowance();
  recall_ahead(step, permits);
}

void Scheduler::State::watch_stall(Step& step, Permits& permits, Time at) {
  permits.stall_at = at;
  set_alarm(step, Alarm::stall, at, permits.stall_number);
}

}  // namespace stint::core
