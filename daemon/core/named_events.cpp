#include "daemon/core/named_events.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "common/limits.hpp"

namespace stint::core {

NamedEvents::Map::iterator NamedEvents::make(const std::string& name) {
  const auto found = events_.find(name);
  if (found != events_.end()) return found;
  if (events_.size() >= limits::events_max) {
    throw limit_exceeded("there are " + std::to_string(limits::events_max) + " events that are set or waited for: clear some",
                         "events_max", limits::events_max);
  }
  return events_.try_emplace(name).first;
}

NamedEvents::Woken NamedEvents::set(const std::string& name, Step& step) {
  Event& event = make(name)->second;
  if (event.set) return {{event.after, event.after > durable_}, {}};
  event.set = true;
  event.after = step.record(EventFact{name, true});
  undecided_.emplace_back(event.after, name);
  Woken woken{{event.after, true}, {event.waiting.begin(), event.waiting.end()}};
  for (const CallId call : woken.calls) callers_.erase(call);
  event.waiting.clear();
  return woken;
}

PersistNumber NamedEvents::clear(const std::string& name, Step& step) {
  const auto found = events_.find(name);
  if (found == events_.end() || !found->second.set) return 0;
  events_.erase(found);  // nobody waits for one that is set
  return step.record(EventFact{name, false});
}

bool NamedEvents::wait(CallId call, const std::string& name) {
  const auto event = make(name);
  if (event->second.set) return true;
  event->second.waiting.insert(call);
  callers_.emplace(call, event);
  return false;
}

void NamedEvents::leave(CallId call) {
  const auto found = callers_.extract(call);
  if (!found) return;
  const auto event = found.mapped();
  event->second.waiting.erase(call);
  if (event->second.waiting.empty() && !event->second.set) events_.erase(event);
}

PersistNumber NamedEvents::set_in(const std::string& name) const {
  const auto found = events_.find(name);
  return found != events_.end() && found->second.set && found->second.after > durable_ ? found->second.after : 0;
}

void NamedEvents::on_durable(PersistNumber number) {
  durable_ = std::max(durable_, number);
  while (!undecided_.empty() && undecided_.front().first <= durable_) undecided_.pop_front();
}

void NamedEvents::on_refused(PersistNumber number) {
  auto each = std::ranges::lower_bound(undecided_, number, {}, &std::pair<PersistNumber, std::string>::first);
  for (; each != undecided_.end() && each->first == number; ++each) {
    const auto found = events_.find(each->second);
    // It may have been cleared, and set again, since. Nobody waits for one that is set.
    if (found != events_.end() && found->second.set && found->second.after == number) events_.erase(found);
  }
}

bool NamedEvents::is_set(const std::string& name) const {
  const auto found = events_.find(name);
  return found != events_.end() && found->second.set;
}

std::vector<NamedEventState> NamedEvents::list() const {
  std::vector<NamedEventState> states;
  for (const auto& [name, event] : events_) states.push_back({name, event.set, event.waiting.size()});
  return states;
}

void NamedEvents::check() const {
  std::size_t waiting = 0;
  for (const auto& [name, event] : events_) {
    if (event.set != event.waiting.empty()) throw std::logic_error("event " + name + ": set and waited for, or neither");
    for (const CallId call : event.waiting) {
      if (callers_.at(call)->first != name) throw std::logic_error("event " + name + ": a call is known elsewhere");
    }
    waiting += event.waiting.size();
  }
  if (waiting != callers_.size()) throw std::logic_error("events: a call waits for none");
}

}  // namespace stint::core
