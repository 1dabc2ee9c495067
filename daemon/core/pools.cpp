// Pools come, change and go: Scheduler::on_pool_….
#include "daemon/core/scheduler_state.hpp"

namespace stint::core {
namespace {

PoolView view_of(const PoolLane& pool) {
  return {pool.spec, pool.owner, pool.removing, pool.permits.waiting(), pool.permits.running(), pool.unfinished()};
}

}  // namespace

PoolLane& Scheduler::State::add_pool(std::shared_ptr<const PoolSpec> spec, std::shared_ptr<const User> owner) {
  PoolLane& pool = pools.add(std::move(spec));
  pool.owner = std::move(owner);
  pool.permits.capacity = pool.permits.slots = pool.spec->size;
  pool.permits.pace = new_pace;
  pool.permits.stall_number = std::uint64_t{1} + pools.number_of(pool.spec->name);
  pool.permits.window = Window(loaded_jobs);
  return pool;
}

JobError Scheduler::State::gone_error(const PoolSpec& pool) { return {"pool_removed", "its pool '" + pool.name + "' is gone"}; }

// Its jobs are cancelled; it goes when the last of them has ended, which may be in the middle of this.
void Scheduler::State::begin_removal(Step& step, PoolLane& pool) {
  pool.removing = true;
  const std::uint16_t number = pools.number_of(pool.spec->name);
  const auto end = [&](Job& job) {
    if (job.durable) step.record(CancelFact{job.id});
    end_unstarted(step, job, Outcome::cancelled);
  };
  for (const JobId id : std::vector<JobId>(pool.apart.begin(), pool.apart.end())) {
    Job& job = *table.find(id);
    if (job.is_running()) request_stop(step, job, false);
    if (job.is_waiting() || job.is_queued()) end(job);  // queued: it lacks a permit
  }
  for (PoolLane* left = pools.find(number); left != nullptr && left->permits.has_waiters(); left = pools.find(number)) {
    end(*table.find(left->permits.any_line().front().id));
  }
  if (PoolLane* const left = pools.find(number)) drop_if_over(*left);
}

void Scheduler::State::drop_if_over(const PoolLane& pool) {
  if (!pool.is_over()) return;
  if (pool.permits.stall_at) timetable.clear(Alarm::stall, *pool.permits.stall_at, pool.permits.stall_number);
  pools.erase(std::string(pool.spec->name));
}

void Scheduler::on_pools_recovered(std::vector<StoredPool> pools) {
  for (StoredPool& each : pools) state_->add_pool(std::move(each.spec), std::move(each.owner));
}

void Scheduler::on_pool_set(std::shared_ptr<const PoolSpec> spec, std::shared_ptr<const User> owner, Time now, Effects& out) {
  State& s = *state_;
  Step step(now, s.newest_persist, out);
  PoolLane* pool = s.pools.find(spec->name);
  if (pool == nullptr) {
    pool = &s.add_pool(std::move(spec), std::move(owner));
  } else {
    if (pool->stored() && !owner) step.record(RemovePoolFact{spec->name});
    pool->spec = std::move(spec);
    pool->owner = std::move(owner);
    pool->permits.slots = pool->spec->size;
    pool->permits.capacity = pool->permits.with_lent();
    if (pool->permits.lent > 0) step.emit(SlotsNow{Lane::pool, pool->permits.capacity, pool->spec});
  }
  if (pool->stored()) step.record(SetPoolFact{pool->spec, pool->owner});
  pool->permits.set_allowance();
  s.fill(step, pool->permits);
}

void Scheduler::on_pool_remove(std::string_view name, Time now, Effects& out) {
  State& s = *state_;
  PoolLane* const pool = s.pools.find(name);
  if (pool == nullptr || pool->removing) return;
  Step step(now, s.newest_persist, out);
  if (pool->stored()) step.record(RemovePoolFact{pool->spec->name});
  s.begin_removal(step, *pool);
  s.stop_daemons(step);
  s.fill_woken(step);  // permits that its jobs were offered
}

std::optional<PoolView> Scheduler::find_pool(std::string_view name) const {
  const PoolLane* const pool = std::as_const(state_->pools).find(name);
  if (pool == nullptr) return std::nullopt;
  return view_of(*pool);
}

std::vector<PoolView> Scheduler::pools() const {
  std::vector<PoolView> views;
  std::as_const(state_->pools).each([&views](const PoolLane& pool) { views.push_back(view_of(pool)); });
  return views;
}

}  // namespace stint::core
