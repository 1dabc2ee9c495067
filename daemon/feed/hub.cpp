#include "daemon/feed/hub.hpp"

namespace stint::feed {

void JobWatches::add(JobId id, Watcher* watcher) {
  if (!first_.emplace(id, watcher).second) more_.emplace(id, watcher);
}

void JobWatches::remove(JobId id, const Watcher* watcher) {
  const auto found = first_.find(id);
  if (found != first_.end() && found->second == watcher) {
    first_.erase(found);
    return;
  }
  const auto [begin, end] = more_.equal_range(id);
  for (auto at = begin; at != end; ++at) {
    if (at->second != watcher) continue;
    more_.erase(at);
    return;
  }
}

Watcher* JobWatches::take_first(JobId id) {
  const auto found = first_.find(id);
  if (found == first_.end()) return nullptr;
  Watcher* const out = found->second;
  first_.erase(found);
  return out;
}

std::vector<Watcher*> JobWatches::take_more(JobId id) {
  std::vector<Watcher*> out;
  const auto [begin, end] = more_.equal_range(id);
  for (auto at = begin; at != end; ++at) out.push_back(at->second);
  more_.erase(begin, end);
  return out;
}

void Hub::retire(Entry& entry) {
  if (entry.dead_) return;
  entry.dead_ = true;
  entry.unwatch();
  std::erase(ending, &entry);
  if (entry.has_deadline_) {
    deadlines.erase(entry.deadline_);
    entry.has_deadline_ = false;
    // Nobody waits for the time any more: an idle daemon is not woken, one that stops is not kept.
    if (deadlines.empty()) {
      armed_for_ = Timers::Clock::time_point::max();
      timers.disarm();
    }
  }
  const auto found = entries.find(entry.id());
  if (found == entries.end()) return;
  retired.push_back(std::move(found->second));
  entries.erase(found);
}

void Hub::bury() {
  // What a closure holds may end other things, so the list is taken first.
  while (!retired.empty()) {
    const auto dead = std::move(retired);
    retired.clear();
  }
}

void Hub::set_deadline(Entry& entry, Duration timeout) {
  entry.deadline_ = deadlines.emplace(timers.now() + timeout, entry.id());
  entry.has_deadline_ = true;
  arm();
}

void Hub::arm() {
  if (deadlines.empty() || deadlines.begin()->first >= armed_for_) return;
  armed_for_ = deadlines.begin()->first;
  timers.arm(armed_for_, [this] { on_timer(); });
}

void Hub::on_timer() {
  const Turn turn(*this);
  armed_for_ = Timers::Clock::time_point::max();
  const auto now = timers.now();
  while (!deadlines.empty() && deadlines.begin()->first <= now) {
    Entry* const entry = find(deadlines.begin()->second);
    deadlines.erase(deadlines.begin());
    if (entry == nullptr) continue;
    entry->has_deadline_ = false;
    entry->stop(StreamEnd::timed_out);
  }
  arm();
}

}  // namespace stint::feed
