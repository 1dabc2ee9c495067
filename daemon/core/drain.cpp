// A drain: what goes on in it, and when its daemon jobs are told to stop.
#include "daemon/core/scheduler_state.hpp"

namespace stint::core {

std::uint64_t drain_pending(const Counts& counts, DrainScope scope) {
  std::uint64_t pending = 0;
  if (scope == DrainScope::none) return pending;
  for (const std::uint64_t running : counts.running) pending += running;
  if (scope == DrainScope::running) return pending;
  for (const std::uint64_t queued : counts.queued) pending += queued;
  return pending;
}

// What runs may wait for its own jobs, so these are started where nothing else is.
bool Scheduler::State::is_inner(const Job& job) const {
  if (drain != DrainScope::running || job.parent == 0) return false;
  const Job* const parent = table.find(job.parent);
  return parent != nullptr && parent->is_running();
}

Line* Scheduler::State::next_inner(Permits& permits) {
  while (!permits.inner.empty()) {
    Job& job = *table.find(permits.inner.front().id);
    if (is_inner(job)) return job.spec && permits.slot_free() && !(job.durable && starts_held) ? &permits.inner : nullptr;
    leave_line(job);  // whoever submitted it has ended, and waits for nothing any more
    join_line(job);
  }
  return nullptr;
}

void Scheduler::State::sort_inner() {
  std::vector<JobId> ids;
  table.each_after(0, [&](const Job& job) {
    if (job.is_queued() && job.parent != 0 && lane(job).stands(job.durable, place(job))) ids.push_back(job.id);
    return true;
  });
  for (const JobId id : ids) {
    Job& job = *table.find(id);
    leave_line(job);
    join_line(job);
  }
}

std::vector<JobId> Scheduler::State::daemons_left() const {
  std::vector<JobId> ids;
  for (const JobId id : table.daemons()) {
    const Job& job = *table.find(id);
    const bool may_start = job.is_queued() && (starts_allowed() || lane(job).inner.contains(place(job)));
    if (job.is_running() || may_start) ids.push_back(id);
  }
  return ids;
}

std::vector<JobId> Scheduler::State::daemons_in_the_way() const {
  std::vector<JobId> ids;
  for (const JobId id : table.daemons()) {
    const Job& job = *table.find(id);
    const auto* const running = std::get_if<Running>(&job.state);
    if (running == nullptr || running->stop != StopCause::none || !running->run.started_at) continue;
    if (!lane(job).slot_free() && lane(job).has_waiters()) ids.push_back(id);
  }
  return ids;
}

void Scheduler::State::stop_daemons(Step& step) {
  if (!drain || *drain == DrainScope::none || daemons_told || foreground_running > 0) return;
  daemons_told = *drain == DrainScope::running || foreground == 0;
  const std::vector<JobId> ids = daemons_told ? daemons_left() : daemons_in_the_way();
  if (ids.empty()) return;
  CancelResult ignored;
  for (const JobId id : ids) cancel(step, *table.find(id), false, ignored);
  fill_all(step);
}

void Scheduler::on_drain(DrainScope scope, Time now, Effects& out) {
  State& s = *state_;
  const bool sorts = s.drain == DrainScope::running || scope == DrainScope::running;
  s.drain = scope;
  s.daemons_told = false;
  Step step(now, s.newest_persist, out);
  if (sorts) s.sort_inner();
  if (!s.starts_allowed()) s.each_lane([&](const Permits& permits) { s.recall_ahead(step, permits); });
  s.stop_daemons(step);
  s.fill_all(step);
}

void Scheduler::on_undrain(Time now, Effects& out) {
  State& s = *state_;
  const bool sorts = s.drain == DrainScope::running;
  s.drain.reset();
  if (sorts) s.sort_inner();
  Step step(now, s.newest_persist, out);
  s.fill_all(step);
}

bool Scheduler::draining() const { return state_->drain.has_value(); }

}  // namespace stint::core
