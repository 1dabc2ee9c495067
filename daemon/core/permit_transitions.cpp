// Permits in the scheduler: what becomes of jobs and calls whose turn has come, and the leases that calls get.
#include <algorithm>

#include "common/error.hpp"
#include "common/limits.hpp"
#include "common/nearest.hpp"
#include "daemon/core/scheduler_state.hpp"

namespace stint::core {
namespace {

Error no_lease(LeaseId id) {
  Error error(ErrorKind::not_found, "there is no lease " + std::to_string(id) + ": it was given back, or its holder was gone");
  error.field = "lease";
  return error;
}

}  // namespace

std::vector<Need> needs_of(const JobSpec& spec) {
  std::vector<Need> needs;
  for (const std::string& name : spec.locks) needs.push_back({PermitKind::lock, name});
  for (const auto& [name, permits] : spec.semaphores) needs.push_back({PermitKind::semaphore, name, permits});
  if (spec.concurrency) needs.push_back({PermitKind::concurrency, spec.concurrency->key, 1, spec.concurrency->limit});
  return needs;
}

void Scheduler::State::give_lease(Step& step, WaiterId waiter, bool asks_store) {
  const Acquire* const acquire = leases.about(waiter);
  if (acquire == nullptr) return;  // the call has left
  const auto owners = owners_that_wait(*acquire);
  if (starts_held && !asks_store) {
    grants_held.push_back(waiter);  // while the store refuses, no fact is recorded: see on_refused
  } else {
    Lease& lease = *leases.grant(waiter);
    const Acquire& what = lease.what;
    leases.recorded(lease, step.record(LeaseFact{lease.id, what.kind == PermitKind::lock, what.name, what.permits,
                                                 what.holder.job, what.owner, false}));
    step.emit(Granted{lease.after, what.call, lease.id});
  }
  for (const std::string& owner : owners) break_circles(step, owner);
}

void Scheduler::State::apply_permits(Step& step) {
  for (const Admission::Change& change : std::exchange(admission.changes, {})) {
    if (change.kind == Admission::Change::Kind::granted) {
      give_lease(step, change.id, false);
      continue;
    }
    // It may have been served, or left, since.
    Job* const job = table.find(change.id);
    if (job == nullptr || !job->is_queued()) continue;
    const bool stands = lane(*job).stands(job->durable, place(*job));
    if (stands == admission.is_ready(job->id)) {
      shelve(*job);
      continue;
    }
    if (stands) {
      leave_line(*job);
      park(*job);
      shelve(*job);
    } else {
      unpark(*job);
      join_line(*job);
    }
    note_woken(*job);
    if (!stands) recall_for(step, *job);
  }
}

void Scheduler::State::fill_woken(Step& step) {
  while (true) {
    if (!admission.changes.empty()) apply_permits(step);
    if (!woken.empty()) {
      const auto [lane, pool] = woken.back();
      woken.pop_back();
      if (Permits* const left = find_lane(lane, pool)) give_slots(step, *left);
    } else if (admission.is_contested() && reading.empty()) {  // who is being read is not passed for that
      admission.yield(step.now);
    } else if (admission.changes.empty()) {
      return;
    }
  }
}

void Scheduler::State::park(Job& job) {
  ++lane(job).parked;
  stand_apart(job);
}

void Scheduler::State::unpark(Job& job) {
  --lane(job).parked;
  stand_apart_no_more(job);
}

void Scheduler::State::note_woken(const Job& job) {
  const std::pair which(job.lane, job.pool);
  if (woken.empty() || woken.back() != which) woken.push_back(which);
}

void Scheduler::State::release(Step& step, LeaseId id) {
  const WaiterId waiter = leases.find(id)->waiter;
  step.record(ReleaseFact{id});
  leases.end(id);
  admission.leave(waiter, step.now);
}

void Scheduler::State::release_all(Step& step, Holder holder) {
  for (const LeaseId id : leases.of(holder)) release(step, id);
}

void Scheduler::State::resize(Step& step, const std::string& semaphore, std::uint64_t permits) {
  const bool shrinks = permits < admission.size_of(semaphore);
  admission.resize(semaphore, permits, step.now);
  if (!shrinks) return;
  for (const std::string& owner : owners_waiting()) break_circles(step, owner);
}

void Scheduler::State::end_waits(Step& step, JobId job) {
  job_waits.end_job(job);
  if (!leases.any_waits()) return;
  for (const WaiterId waiter : leases.waits_of(owner_of_job(job))) {
    const std::uint64_t call = leases.about(waiter)->call;
    leases.leave(call);
    admission.leave(waiter, step.now);
    step.emit(Refuse{newest_persist, call,
                     Error(ErrorKind::conflict, "job " + std::to_string(job) + ", whose lease this would have been, has ended")});
  }
}

// ---- events

Changed Scheduler::on_semaphore(const std::string& name, std::uint64_t permits, Time now, Effects& out) {
  State& s = *state_;
  const auto known = s.admission.names(PermitKind::semaphore);
  if (known.size() >= limits::semaphores_max && std::ranges::find(known, name) == known.end()) {
    throw limit_exceeded("there are " + std::to_string(limits::semaphores_max) + " semaphores: set some to 0 permits",
                         "semaphores_max", limits::semaphores_max);
  }
  Step step(now, s.newest_persist, out);
  const std::uint64_t before = s.admission.size_of(name);
  const bool made = permits > 0 && (before == 0 || s.semaphores_made.is_open(name));
  const PersistNumber number = step.record(SemaphoreFact{name, permits, made});
  if (made) {
    s.semaphores_made.changed(number, name, before);
  } else {
    s.semaphores_made.settled(name);
  }
  s.resize(step, name, permits);
  s.fill_woken(step);
  return {number, made};
}

void Scheduler::on_acquire(Acquire acquire, Time now, Effects& out) {
  State& s = *state_;
  if (acquire.kind == PermitKind::semaphore) require_semaphore(s.admission, acquire.name, acquire.permits, "name", "permits");
  Step step(now, s.newest_persist, out);
  const std::vector<Need> needs{{acquire.kind, acquire.name, acquire.permits}};
  const std::uint64_t call = acquire.call;
  const WaiterId waiter = s.leases.begin(acquire);
  s.admission.join({line_key(now, 0, s.ageing), waiter}, needs, now);
  if (!s.admission.holds(waiter) && !acquire.at_once) {
    try {
      for (const std::string& owner : owners_that_wait(acquire)) s.refuse_circle(owner);
    } catch (const Error&) {
      s.leases.leave(call);
      s.admission.leave(waiter, now);
      s.fill_woken(step);
      throw;
    }
  }
  // The store may have room again: like a submit, a call that need not wait asks it.
  if (s.starts_held && s.admission.holds(waiter)) {
    std::erase_if(s.admission.changes, [waiter](const Admission::Change& change) { return change.id == waiter; });
    s.give_lease(step, waiter, true);
  }
  s.fill_woken(step);
}

void Scheduler::on_call_left(std::uint64_t call, Time now, Effects& out) {
  State& s = *state_;
  const WaiterId waiter = s.leases.leave(call);
  if (waiter == 0) return;
  Step step(now, s.newest_persist, out);
  s.admission.leave(waiter, now);
  s.fill_woken(step);
}

PersistNumber Scheduler::on_release(LeaseId id, Holder holder, Time now, Effects& out) {
  State& s = *state_;
  const Lease* const lease = s.leases.find(id);
  if (lease == nullptr) throw no_lease(id);
  const Holder& theirs = lease->what.holder;
  const bool is_theirs = theirs.job != 0 ? theirs.job == holder.job : theirs.connection == holder.connection;
  if (!is_theirs) {
    Error error(ErrorKind::permission_denied,
                "lease " + std::to_string(id) + " is held by " +
                    (theirs.job != 0 ? "job " + std::to_string(theirs.job) : std::string("another connection")));
    error.field = "lease";
    throw error;
  }
  Step step(now, s.newest_persist, out);
  s.release(step, id);
  s.fill_woken(step);
  return s.newest_persist;
}

PersistNumber Scheduler::on_resume(LeaseId id, Holder holder, Time now, Effects& out) {
  State& s = *state_;
  Lease* const lease = s.leases.find(id);
  if (lease == nullptr) throw no_lease(id);
  const Holder& theirs = lease->what.holder;
  const bool orphan = theirs == Holder{};
  if (!orphan && theirs.job != holder.job) {
    throw Error(ErrorKind::conflict, "lease " + std::to_string(id) + " is held by somebody who is still there");
  }
  if (!orphan && theirs.job == 0 && theirs.connection != holder.connection) {
    throw Error(ErrorKind::conflict, "lease " + std::to_string(id) + " is held by another connection, which is still there");
  }
  s.leases.bind(*lease, holder);
  if (holder.job == 0) return s.newest_persist;
  // From now on it ends with the job, over a restart of the daemon too.
  Step step(now, s.newest_persist, out);
  const Acquire& what = lease->what;
  s.break_circles(step, owner_of_job(holder.job));
  s.fill_woken(step);
  return step.record(LeaseFact{id, what.kind == PermitKind::lock, what.name, what.permits, holder.job, what.owner, true});
}

void Scheduler::on_connection_gone(std::uint64_t connection, Time now, Effects& out) {
  State& s = *state_;
  s.job_waits.end_connection(connection);
  if (s.leases.empty()) return;
  Step step(now, s.newest_persist, out);
  s.release_all(step, {connection, 0});
  s.fill_woken(step);
}

void require_semaphore(const Admission& admission, const std::string& name, std::uint64_t permits, const std::string& name_field,
                       const std::string& permits_field) {
  const auto known = admission.names(PermitKind::semaphore);
  const std::uint64_t size = admission.size_of(name);
  if (std::ranges::find(known, name) == known.end()) {
    Error error(ErrorKind::not_found, "there is no semaphore '" + name + "': semaphore.set gives it a size first");
    error.field = name_field;
    error.nearest = nearest_name(name, known);
    throw error;
  }
  if (permits <= size) return;
  Error error = limit_exceeded(
      "the semaphore '" + name + "' has " + std::to_string(size) + " permits: " + std::to_string(permits) + " can never be had",
      "permits", size, "semaphore.set");
  error.field = permits_field;
  throw error;
}

const Admission& Scheduler::admission() const { return state_->admission; }
const Leases& Scheduler::leases() const { return state_->leases; }

}  // namespace stint::core
