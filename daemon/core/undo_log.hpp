// What was changed by facts that the store may still refuse, and what it was before: by name, so that a refusal undoes its own
// change and leaves what a later one made of it.
//
// Persists are noted in ascending order; they are refused in any. A value; throws std::bad_alloc only.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/effects.hpp"

namespace stint::core {

template <class Value>
class UndoLog {
 public:
  void changed(PersistNumber number, const std::string& name, Value before) {
    changes_[name].push_back({number, std::move(before)});
    order_.emplace_back(number, name);
  }
  /// Something that it rests on may still be refused.
  [[nodiscard]] bool is_open(const std::string& name) const { return changes_.contains(name); }
  /// It is what it is now, whatever is refused.
  void settled(const std::string& name) { changes_.erase(name); }

  /// Everything up to `number` is decided.
  void decided(PersistNumber number) {
    for (; !order_.empty() && order_.front().first <= number; order_.pop_front()) {
      const auto found = changes_.find(order_.front().second);
      if (found == changes_.end()) continue;
      std::erase_if(found->second, [number](const Change& each) { return each.number <= number; });
      if (found->second.empty()) changes_.erase(found);
    }
  }

  /// What goes back to what it was, with that.
  [[nodiscard]] std::vector<std::pair<std::string, Value>> refused(PersistNumber number) {
    std::vector<std::pair<std::string, Value>> undone;
    auto at = std::ranges::lower_bound(order_, number, {}, &std::pair<PersistNumber, std::string>::first);
    for (; at != order_.end() && at->first == number; ++at) {
      const auto found = changes_.find(at->second);
      if (found == changes_.end()) continue;
      std::vector<Change>& changes = found->second;
      const auto change = std::ranges::find(changes, number, &Change::number);
      if (change == changes.end()) continue;
      Value before = std::move(change->before);
      const auto next = changes.erase(change);
      if (next != changes.end()) {
        next->before = std::move(before);
        continue;
      }
      if (changes.empty()) changes_.erase(found);
      undone.emplace_back(at->second, std::move(before));
    }
    return undone;
  }

 private:
  struct Change {
    PersistNumber number = 0;
    Value before;
  };

  std::map<std::string, std::vector<Change>> changes_;  // ascending
  std::deque<std::pair<PersistNumber, std::string>> order_;
};

}  // namespace stint::core
