// Pools, permits and leases: calls of clients that become events of the core.
#include "daemon/engine.hpp"

namespace stint {

core::PersistNumber Engine::set_pool(PoolSpec spec, std::shared_ptr<const core::User> user) {
  const auto pool = std::make_shared<const PoolSpec>(std::move(spec));
  pools_->define(pool);
  scheduler_.on_pool_set(pool, std::move(user), wall_now(), effects_);
  settle();
  return pool->bind ? 0 : scheduler_.newest_persist();
}

core::PersistNumber Engine::remove_pool(const std::string& name) {
  scheduler_.on_pool_remove(name, wall_now(), effects_);
  settle();
  pools_->drop(name);
  return scheduler_.newest_persist();
}

void Engine::lend(JobId job, Attempt attempt, bool waits) {
  scheduler_.on_lend(job, attempt, waits, wall_now(), effects_);
  settle();
}

// ---- permits

core::Changed Engine::set_semaphore(const std::string& name, std::uint64_t permits) {
  const core::Changed changed = scheduler_.on_semaphore(name, permits, wall_now(), effects_);
  settle();
  return changed;
}

void Engine::acquire(core::Acquire what, std::optional<Duration> timeout, AcquireDone done) {
  const std::uint64_t call = what.call;
  const std::string name = what.name;
  try {
    scheduler_.on_acquire(std::move(what), wall_now(), effects_);
  } catch (const Error&) {
    settle();
    throw;
  }
  acquires_.emplace(call, std::move(done));
  settle();
  if (!scheduler_.leases().waits(call)) return;
  const auto left = [this, call, name](StreamEnd why) {
    auto waiting = acquires_.extract(call);
    const bool had_it = scheduler_.admission().holds(scheduler_.leases().waiter_of(call));
    scheduler_.on_call_left(call, wall_now(), effects_);
    settle();
    if (!waiting || why == StreamEnd::cancelled) return;
    if (why == StreamEnd::draining) return waiting.mapped()(shutting_down(), 0);
    if (had_it) return waiting.mapped()(unavailable("the store could not record the lease in time: it has no room", "store"), 0);
    waiting.mapped()(Error(ErrorKind::timed_out, "the timeout has passed, and '" + name + "' is not free"), 0);
  };
  if (timeout && *timeout == Duration{}) {
    left(StreamEnd::timed_out);
  } else {
    feed_.hold(call, timeout, left);
  }
}

core::PersistNumber Engine::release_lease(core::LeaseId lease, core::Holder holder) {
  const auto number = scheduler_.on_release(lease, holder, wall_now(), effects_);
  settle();
  return number;
}

core::PersistNumber Engine::resume_lease(core::LeaseId lease, core::Holder holder) {
  const auto number = scheduler_.on_resume(lease, holder, wall_now(), effects_);
  settle();
  return number;
}

// Not called for connections that the daemon closes because it goes: their leases stay, to be resumed at the next one.
void Engine::connection_gone(std::uint64_t connection) {
  scheduler_.on_connection_gone(connection, wall_now(), effects_);
  settle();
}

}  // namespace stint
