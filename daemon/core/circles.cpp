#include "daemon/core/circles.hpp"

#include <algorithm>
#include <set>

namespace stint::core {
namespace {

using Graph = std::map<std::string, std::vector<Circles::Wait>>;

std::string name_of(const Circles::Wait& wait) {
  if (wait.name.empty()) return "the end of jobs";
  switch (wait.kind) {
    case PermitKind::lock: return "lock " + wait.name;
    case PermitKind::semaphore: return "semaphore " + wait.name;
    case PermitKind::concurrency: return "concurrency " + wait.name;
  }
  return {};
}

bool can_be_met(const Circles::Wait& wait, const std::set<std::string>& stuck) {
  if (wait.name.empty()) {
    const auto is_stuck = [&](const std::string& job) { return stuck.contains(job); };
    return wait.any ? !std::ranges::all_of(wait.jobs, is_stuck) : std::ranges::none_of(wait.jobs, is_stuck);
  }
  std::uint64_t kept = 0;
  for (const auto& [owner, permits] : wait.holders) kept += stuck.contains(owner) ? permits : 0;
  return kept + wait.permits <= wait.capacity;
}

/// Somebody stuck for whom this wait waits.
std::string stuck_behind(const Circles::Wait& wait, const std::set<std::string>& stuck) {
  for (const auto& [owner, permits] : wait.holders) {
    if (stuck.contains(owner)) return owner;
  }
  const auto job = std::ranges::find_if(wait.jobs, [&](const std::string& each) { return stuck.contains(each); });
  return job == wait.jobs.end() ? std::string() : *job;
}

}  // namespace

std::optional<Circles::Circle> Circles::find(const std::string& first, const Look& look) {
  Graph graph;
  std::vector<std::string> open{first};
  while (!open.empty()) {
    const std::string owner = std::move(open.back());
    open.pop_back();
    const auto [entry, made] = graph.try_emplace(owner);
    if (!made) continue;
    if (graph.size() > owners_max) return std::nullopt;
    entry->second = look(owner);
    for (const Wait& wait : entry->second) {
      for (const auto& [holder, permits] : wait.holders) {
        if (!holder.empty()) open.push_back(holder);
      }
      open.insert(open.end(), wait.jobs.begin(), wait.jobs.end());
    }
  }

  std::set<std::string> stuck;
  for (const auto& [owner, waits] : graph) {
    if (!waits.empty()) stuck.insert(owner);
  }
  for (bool changed = true; changed;) {
    changed = std::erase_if(stuck, [&](const std::string& owner) {
                return std::ranges::all_of(graph.at(owner), [&](const Wait& wait) { return can_be_met(wait, stuck); });
              }) > 0;
  }
  if (!stuck.contains(first)) return std::nullopt;

  // From one to the next until somebody comes again: that is the circle.
  std::vector<std::string> owners;
  std::vector<const Wait*> steps;
  std::string owner = first;
  while (std::ranges::find(owners, owner) == owners.end()) {
    const auto& waits = graph.at(owner);
    const auto wait = std::ranges::find_if(
        waits, [&](const Wait& each) { return !can_be_met(each, stuck) && !stuck_behind(each, stuck).empty(); });
    if (wait == waits.end()) return std::nullopt;  // it needs more than there will ever be: no circle
    const std::string next = stuck_behind(*wait, stuck);
    owners.push_back(owner);
    steps.push_back(&*wait);
    owner = next;
  }
  Circle circle;
  for (auto i = static_cast<std::size_t>(std::ranges::find(owners, owner) - owners.begin()); i < owners.size(); ++i) {
    circle.told.push_back(owners[i]);
    circle.told.push_back(name_of(*steps[i]));
    if (circle.call == 0) circle.call = steps[i]->call;
  }
  circle.told.push_back(owner);
  return circle;
}

Error in_a_circle(std::vector<std::string> told) {
  Error error(ErrorKind::conflict, "this call would wait in a circle: each waits for what the next one holds");
  error.circle = std::move(told);
  return error;
}

}  // namespace stint::core
