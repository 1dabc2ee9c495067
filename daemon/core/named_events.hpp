// Named events: flags that are set or not, and the calls that wait until one is set.
//
// An event is there while it is set or somebody waits for it. What is set survives a restart of the daemon. Who was woken by a
// set that is refused then is to wait anew. A value of the core: no I/O, no clock. Throws Error `limit_exceeded` before anything
// has changed, and std::bad_alloc.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/core/channel.hpp"
#include "daemon/core/step.hpp"

namespace stint::core {

struct NamedEventState {
  std::string name;
  bool set = false;
  std::uint64_t waiting = 0;
};

class NamedEvents {
 public:
  struct Woken {
    Changed changed;  ///< what the answers wait for
    std::vector<CallId> calls;
  };
  /// Wakes who has waited for it, in the order of the calls; nothing changes where it is set.
  Woken set(const std::string& name, Step& step);
  PersistNumber clear(const std::string& name, Step& step);
  /// True where it is set: the call does not wait.
  bool wait(CallId call, const std::string& name);
  void leave(CallId call);
  /// The Persist of the set, where it is set and that is not decided; else 0.
  [[nodiscard]] PersistNumber set_in(const std::string& name) const;

  void on_durable(PersistNumber number);
  /// The set of this Persist has not happened.
  void on_refused(PersistNumber number);

  void restore(const std::string& name) { events_[name].set = true; }
  [[nodiscard]] bool is_set(const std::string& name) const;
  [[nodiscard]] std::vector<NamedEventState> list() const;
  /// Throws std::logic_error that names the first difference.
  void check() const;

 private:
  struct Event {
    bool set = false;
    PersistNumber after = 0;  // of its set
    std::set<CallId> waiting;
  };
  using Map = std::map<std::string, Event, std::less<>>;

  Map::iterator make(const std::string& name);

  Map events_;
  std::unordered_map<CallId, Map::iterator> callers_;
  std::deque<std::pair<PersistNumber, std::string>> undecided_;  // sets
  PersistNumber durable_ = 0;
};

}  // namespace stint::core
