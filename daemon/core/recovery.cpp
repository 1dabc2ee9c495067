// What an earlier daemon left unfinished comes back: Scheduler::on_recovered.
#include "daemon/core/scheduler_state.hpp"

namespace stint::core {
namespace {

EndReport lost_with_the_daemon() {
  EndReport report;
  report.ending = EndReport::Lost{"the daemon ended while it ran: how it would have ended cannot be known"};
  return report;
}

}  // namespace

// Of a pool that is not there any more: its jobs are cancelled as if it were being removed now.
std::uint16_t Scheduler::State::pool_of(const std::string& name) {
  if (pools.find(name) == nullptr) {
    auto gone = std::make_shared<PoolSpec>();
    gone->name = name;
    add_pool(std::move(gone), nullptr).removing = true;
  }
  return pools.number_of(name);
}

// Its line, its slot and its group are as they were; nothing is announced, because nothing has happened to it.
Job& Scheduler::State::restore(Step& step, StoredJob stored) {
  auto made = std::make_unique<Job>();
  made->id = stored.id;
  made->parent = stored.parent;
  made->spec = std::move(stored.spec);
  made->item = std::move(stored.item);
  made->user = std::move(stored.user);
  made->submitted_at = stored.submitted_at;
  made->index = stored.index;
  made->lane = stored.lane;
  made->executor = stored.executor;
  made->attempt = stored.attempt;
  made->expires_at = stored.expires_at.value_or(Time{});
  made->priority = static_cast<std::int16_t>(stored.priority);
  made->daemon = stored.daemon;
  made->limited = stored.limited;
  if (made->lane == Lane::pool) made->pool = pool_of(stored.pool.value_or(std::string()));
  Job& job = table.insert(std::move(made), stored.group);
  ++submitted;
  if (!stored.has_started()) {
    set_expiry(step, job);
    if (stored.waits_until && *stored.waits_until > step.now) {
      job.state = Waiting{*stored.waits_until};
      stand_apart(job);
      set_alarm(step, Alarm::wake, *stored.waits_until, job.id);
    } else {
      stand_in_line(step, job);
    }
    return job;
  }
  if (!job.daemon) ++foreground;
  Running state;
  if (stored.cancelled) {
    state.stop = StopCause::cancelled;
    state.phase = Phase::stopping;
    ++stopping;
  }
  take_slot(job);
  if (job.limited) admission.restore(place(job), needs_of(*job.spec), step.now);
  job.state = std::move(state);
  return job;
}

void Scheduler::on_recovered(std::vector<StoredJob> jobs, std::vector<KeyedSubmit> keys, Time now, Effects& out,
                             StoredPermits permits) {
  State& s = *state_;
  for (KeyedSubmit& key : keys) s.keys.add(std::move(key), 0);
  Step step(now, s.newest_persist, out);
  for (const SemaphoreFact& semaphore : permits.semaphores) s.admission.resize(semaphore.name, semaphore.permits, now);
  for (const LeaseFact& stored : permits.leases) {
    const PermitKind kind = stored.is_lock ? PermitKind::lock : PermitKind::semaphore;
    const Acquire what{0, kind, stored.name, stored.permits, {0, stored.job}, stored.owner};
    const Lease& lease = s.leases.restore(stored.lease, what);
    const std::vector<Need> need{{kind, what.name, what.permits}};
    s.admission.restore({line_key(now, 0, s.ageing), lease.waiter}, need, now);
  }
  for (StoredJob& stored : jobs) {
    const bool cancelled = stored.cancelled;
    Job& job = s.restore(step, std::move(stored));
    if (!job.is_running()) {
      if (cancelled) s.end_unstarted(step, job, Outcome::cancelled);
    } else if (job.lane != Lane::program && job.lane != Lane::pool) {
      s.end_attempt(step, job, lost_with_the_daemon());
    } else if (cancelled) {
      step.emit(Stop{0, job.lane, job.id, job.attempt, false});
    }
  }
  std::vector<std::uint16_t> gone;
  std::as_const(s.pools).each([&](const PoolLane& pool) {
    if (pool.removing) gone.push_back(s.pools.number_of(pool.spec->name));
  });
  for (const std::uint16_t number : gone) s.begin_removal(step, s.pools.at(number));
  for (const LeaseFact& stored : permits.leases) {
    if (stored.job == 0) {
      s.set_alarm(step, Alarm::reclaim, now + s.reclaim, stored.lease);
    } else if (const Job* const job = s.table.find(stored.job); job == nullptr || !job->is_running()) {
      if (s.leases.find(stored.lease) != nullptr) s.release(step, stored.lease);
    }
  }
  s.fill_all(step);
}

}  // namespace stint::core
