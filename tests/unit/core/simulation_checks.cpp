// What must hold after each event of the simulation, beyond the scheduler's own check().
#include <algorithm>

#include "tests/unit/core/simulation.hpp"

namespace stint::core::simulation {
namespace {

const char* name_of(const Job& job) {
  if (job.is_finished()) return "finished";
  if (job.is_queued()) return "queued";
  if (job.is_waiting()) return "waiting";
  if (job.is_doomed()) return "doomed";
  switch (std::get<Running>(job.state).phase) {
    case Phase::starting: return "starting";
    case Phase::lent:
    case Phase::running: return "running";
    default: return "stopping";
  }
}

}  // namespace

void Simulation::after_event() {
  apply();
  scheduler_->check();
  Snapshot now_here = snapshot();
  if (!restarting_) compare(snapshot_, now_here);
  snapshot_ = std::move(now_here);
  if (!restarting_) compare_running();
  compare_drain();
  compare_permits();
}

Simulation::Snapshot Simulation::snapshot() const {
  Snapshot snapshot;
  scheduler_->each_after(0, static_cast<std::size_t>(-1), [&](const Job& job) {
    snapshot.emplace_hint(snapshot.end(), job.id, name_of(job));
    return true;
  });
  return snapshot;
}

void Simulation::compare(const Snapshot& before, const Snapshot& after) {
  const auto note = [&](JobId id, const std::string& from, const std::string& to) {
    if (from == to) return;
    const std::string transition = from + " → " + to;
    if (!legal_transitions().contains(transition)) wrong(id, "an illegal transition: " + transition);
    ++transitions_[transition];
  };
  for (const auto& [id, from] : before) {
    const auto to = after.find(id);
    if (to != after.end()) {
      note(id, from, to->second);
    } else {
      note(id, from, store_.refused_jobs().contains(id) ? "refused" : "none");
    }
  }
  for (auto each = after.upper_bound(before.empty() ? 0 : before.rbegin()->first); each != after.end(); ++each) {
    note(each->first, "none", each->second);
  }
}

std::map<std::string, Simulation::Place> Simulation::places() const {
  std::map<std::string, Place> places;
  const Counts counts = scheduler_->counts();
  for (std::size_t lane = 0; lane < fixed_lanes; ++lane)
    places["lane " + std::to_string(lane)] = {counts.running[lane], counts.slots[lane]};
  for (const PoolView& pool : scheduler_->pools()) {
    const auto told = told_slots_.find(pool.spec->name);
    places["pool " + pool.spec->name] = {pool.running, told == told_slots_.end() ? pool.spec->size : told->second};
  }
  return places;
}

std::uint64_t Simulation::begun_in(const std::string& place) const {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(running_, [&](const Attempted& each) { return each.place == place && each.begun; }));
}

void Simulation::compare_running() {
  auto places = this->places();
  for (const auto& [name, place] : places) {
    if (place.running > std::max(place.slots, places_before_[name].running)) {
      throw std::logic_error(name + ": more run than there are slots");
    }
    if (begun_in(name) > place.running) throw std::logic_error("an executor runs more than the scheduler started");
  }
  for (const auto& each : running_) {
    if (!places.contains(each.place)) wrong(each.id, "runs in a pool that is gone");
  }
  places_before_ = std::move(places);
}

// In a drain nothing but daemon jobs that were told to stop may be left, unless a refusal is still to be worked off.
void Simulation::compare_drain() const {
  if (!scheduler_->draining() || drain_scope_ == DrainScope::none || timer_) return;
  bool foreground = false;
  JobId untold = 0;
  scheduler_->each_after(0, static_cast<std::size_t>(-1), [&](const Job& job) {
    if (job.is_finished() || job.is_waiting() || (drain_scope_ == DrainScope::running && !job.is_running())) return true;
    foreground = foreground || !job.daemon;
    if (job.is_doomed()) return true;
    const auto* const running = std::get_if<Running>(&job.state);
    if (running == nullptr || running->stop == StopCause::none) untold = job.id;
    return true;
  });
  if (!foreground && untold != 0) wrong(untold, "keeps a drain from ending and was not told to stop");
}

}  // namespace stint::core::simulation
