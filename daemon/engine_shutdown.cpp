// How the daemon's work comes to an end: drains, and the three ways to shut down.
#include <boost/asio/post.hpp>
#include <utility>

#include "daemon/engine.hpp"

namespace stint {

void Engine::require_staying() const {
  if (shutting_down_) throw Error(ErrorKind::conflict, "the daemon is shutting down: a drain can neither begin nor end");
}

void Engine::drain(core::DrainScope scope) {
  require_staying();
  scheduler_.on_drain(scope, wall_now(), effects_);
  settle();
}

void Engine::undrain() {
  require_staying();
  scheduler_.on_undrain(wall_now(), effects_);
  settle();
}

void Engine::shutdown(ShutdownMode mode) {
  const bool first = !std::exchange(shutting_down_, true);
  const bool again = detaching_;
  detaching_ = mode == ShutdownMode::detach;
  scheduler_.on_drain(detaching_ ? core::DrainScope::none : core::DrainScope::queued, wall_now(), effects_);
  if (first && on_shutdown_) on_shutdown_();
  if (detaching_) {
    stop_tasks(again);
    settle();
  } else if (mode == ShutdownMode::cancel) {
    // Asked twice: no more grace.
    cancel_all(std::exchange(cancelled_all_, true));
  } else {
    settle();
  }
}

void Engine::kill_all() {
  if (detaching_) return stop_tasks(true);
  if (cancelled_all_) return cancel_all(true);
  // A drain that may take no longer: what has not begun is for the next daemon, where that will know of it.
  scheduler_.on_drain(core::DrainScope::none, wall_now(), effects_);
  cancel_where([](const core::Job& job) { return job.is_running() || !job.durable; }, true);
}

void Engine::stop_tasks(bool force) {
  std::vector<const core::Job*> tasks;
  scheduler_.each_after(0, SIZE_MAX, [&tasks](const core::Job& job) {
    if (job.is_running() && job.lane != core::Lane::program) tasks.push_back(&job);
    return true;
  });
  for (const core::Job* job : tasks) executor_of(job->lane).stop(job->id, job->attempt, force);
}

void Engine::cancel_all(bool force) {
  cancel_where([](const core::Job&) { return true; }, force);
}

void Engine::cancel_where(const std::function<bool(const core::Job&)>& chosen, bool force) {
  std::vector<JobId> ids;
  scheduler_.each_after(0, SIZE_MAX, [&](const core::Job& job) {
    if (!job.is_finished() && chosen(job)) ids.push_back(job.id);
    return true;
  });
  scheduler_.on_cancel(ids, force, wall_now(), effects_);
  settle();
}

void Engine::look_for_idle() {
  const bool idle = detaching_ ? tasks_running_ == 0 && !pools_->has_runs() : scheduler_.idle();
  if (!shutting_down_ || !on_idle_ || !idle || !held_.empty() || scheduler_.newest_persist() > durable_) return;
  auto callback = std::exchange(on_idle_, nullptr);
  boost::asio::post(io_, std::move(callback));
}

}  // namespace stint
