// The permits of the simulation: calls for them, leases, connections that go, slots that are lent.
#include <algorithm>
#include <stdexcept>

#include "tests/unit/core/simulation.hpp"

namespace stint::core::simulation {

bool Simulation::semaphore() {
  // The second one, which no job needs, comes and goes.
  const bool needed = chance(0.5);
  scheduler_->on_semaphore(needed ? "s" : "t", needed ? 2 + below(3) : below(3), now_, effects_);
  count("on_semaphore");
  after_event();
  return true;
}

// By a connection, or by a job that has begun.
bool Simulation::acquire() {
  if (calls_.size() > 20) return false;
  Acquire what;
  what.call = ++last_call_;
  what.kind = chance(0.5) ? PermitKind::lock : PermitKind::semaphore;
  what.name = what.kind == PermitKind::semaphore ? "s" : chance(0.5) ? "a" : "b";
  what.permits = what.kind == PermitKind::lock ? 1 : 1 + below(3);
  what.holder.connection = 1 + below(connections);
  if (chance(0.8)) what.owner = chance(0.5) ? "ann" : "bob";
  const auto begun = std::ranges::find(running_, true, &Attempted::begun);
  if (begun != running_.end() && chance(0.5)) what.holder.job = begun->id;
  const Holder holder = what.holder;
  try {
    scheduler_->on_acquire(what, now_, effects_);
    calls_.emplace(what.call, holder);
    count("on_acquire");
  } catch (const Error& error) {
    const bool known = error.kind() == ErrorKind::conflict
                           ? !error.circle.empty()
                           : error.kind() == ErrorKind::not_found || error.kind() == ErrorKind::limit_exceeded;
    if (!known) throw;
    if (error.kind() == ErrorKind::conflict) count("circle");
  }
  after_event();
  return true;
}

bool Simulation::call_left() {
  if (calls_.empty()) return false;
  const auto call = std::next(calls_.begin(), static_cast<std::ptrdiff_t>(below(calls_.size())));
  if (!scheduler_->leases().waits(call->first)) return false;  // granted: its connection goes, or it is told
  scheduler_->on_call_left(call->first, now_, effects_);
  calls_.erase(call);
  count("on_call_left");
  after_event();
  return true;
}

bool Simulation::release_lease() {
  const auto& leases = scheduler_->leases().all();
  if (leases.empty()) return false;
  const Lease& lease = std::next(leases.begin(), static_cast<std::ptrdiff_t>(below(leases.size())))->second;
  if (lease.what.holder == Holder{}) return false;
  scheduler_->on_release(lease.id, lease.what.holder, now_, effects_);
  count("on_release");
  after_event();
  return true;
}

bool Simulation::resume() {
  const auto& leases = scheduler_->leases().all();
  const auto orphan = std::ranges::find_if(leases, [](const auto& each) { return each.second.what.holder == Holder{}; });
  if (orphan == leases.end()) return false;
  Holder holder{1 + below(connections), 0};
  const auto begun = std::ranges::find(running_, true, &Attempted::begun);
  if (begun != running_.end() && chance(0.5)) holder.job = begun->id;
  scheduler_->on_resume(orphan->first, holder, now_, effects_);
  count("on_resume");
  after_event();
  return true;
}

bool Simulation::connection_gone() {
  const std::uint64_t connection = 1 + below(connections);
  // Its waiting calls end first, as a conversation does it.
  for (auto call = calls_.begin(); call != calls_.end();) {
    if (call->second.connection != connection) {
      ++call;
      continue;
    }
    scheduler_->on_call_left(call->first, now_, effects_);
    call = calls_.erase(call);
    after_event();
  }
  std::erase_if(waits_, [connection](const auto& wait) { return wait.second == connection; });
  scheduler_->on_connection_gone(connection, now_, effects_);
  count("on_connection_gone");
  after_event();
  for (const auto& [id, lease] : scheduler_->leases().all()) {
    if (lease.what.holder.connection == connection && lease.what.holder.job == 0) {
      throw std::logic_error("a connection has gone and something is still its");
    }
  }
  return true;
}

// A job that has begun waits for others by a call of its own.
bool Simulation::wait_for_jobs() {
  const auto begun = std::ranges::find(running_, true, &Attempted::begun);
  if (begun == running_.end() || waits_.size() > 10) return false;
  JobWait wait;
  wait.call = ++last_call_;
  wait.connection = 1 + below(connections);
  wait.job = begun->id;
  wait.any = chance(0.2);
  for (auto left = 1 + below(2); left > 0; --left) wait.ids.push_back(any_job());
  const auto [at, made] = waits_.emplace(wait.call, wait.connection);
  try {
    scheduler_->on_wait(std::move(wait));
    count("on_wait");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::conflict || error.circle.empty()) throw;
    waits_.erase(at);
    count("circle");
  }
  after_event();
  return true;
}

bool Simulation::wait_over() {
  if (waits_.empty()) return false;
  const auto wait = std::next(waits_.begin(), static_cast<std::ptrdiff_t>(below(waits_.size())));
  scheduler_->on_wait_over(wait->first);
  waits_.erase(wait);
  count("on_wait_over");
  after_event();
  return true;
}

bool Simulation::lend() {
  const Attempted* const attempted = any_attempt();
  const bool begins = lending_.empty() || chance(0.6);
  if (begins && attempted == nullptr) return false;
  std::pair<JobId, Attempt> which;
  if (begins) {
    which = {attempted->id, attempted->attempt};
    lending_.push_back(which);
  } else {
    const auto at = lending_.begin() + static_cast<std::ptrdiff_t>(below(lending_.size()));
    which = *at;
    lending_.erase(at);
  }
  scheduler_->on_lend(which.first, which.second, begins, now_, effects_);
  count("on_lend");
  after_event();
  return true;
}

// A start that was called back may stand in the store when the daemon dies, and its lock with another: until its runner has said
// that it never began, both are booked. What has begun is alone.
void Simulation::compare_permits() const {
  for (const char* name : {"a", "b"}) {
    const auto holders = scheduler_->admission().state_of(PermitKind::lock, name).holders;
    const auto alone = std::ranges::count_if(holders, [this](const auto& holder) {
      return is_call(holder.first) ||
             std::ranges::any_of(running_, [&](const Attempted& each) { return each.id == holder.first && each.begun; });
    });
    if (alone > 1) throw std::logic_error("a lock is held twice");
  }
}

// The call was answered, or nobody was there any more and what it got was given back.
void Simulation::perform_granted(const Granted& granted) {
  mix(granted.lease);
  if (!store_.leased(granted.lease)) throw std::logic_error("a lease was told before it was recorded");
  if (calls_.erase(granted.call) > 0 || scheduler_->leases().find(granted.lease) == nullptr) return;
  scheduler_->on_release(granted.lease, scheduler_->leases().find(granted.lease)->what.holder, now_, effects_);
}

void Simulation::perform_refuse(const Refuse& refuse) {
  mix(refuse.call);
  const auto& circle = refuse.error.circle;
  if (!circle.empty() && circle.front() != circle.back()) throw std::logic_error("this is no circle");
  if (scheduler_->leases().waits(refuse.call)) throw std::logic_error("a call is refused and waits on");
  if (calls_.erase(refuse.call) + waits_.erase(refuse.call) > 0) count(circle.empty() ? "its job has ended" : "closed by others");
}

}  // namespace stint::core::simulation
