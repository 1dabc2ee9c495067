// Idempotency keys, by user and word: what was submitted with one, for as long as any job of that call is kept, finished or not.
//
// Lies in memory whole, so that a repeated submit is known before anything is asked of the store; retention bounds it. A
// value; throws std::bad_alloc only.
#pragma once

#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/core/effects.hpp"

namespace stint::core {

/// What a key stands for.
struct Keyed {
  std::string payload;
  std::string group;
  JobId first = 0;
  std::uint64_t count = 0;
  PersistNumber after = 0;  ///< its submit; 0: durable long since, or not durable at all
};

class KeyTable {
 public:
  void add(KeyedSubmit submit, PersistNumber after) {
    Key key{submit.uid, std::move(submit.key.word)};
    Call& call = calls_.insert_or_assign(submit.first, Call{key, submit.count, submit.count, {}}).first->second;
    keys_.insert_or_assign(std::move(key), Keyed{.payload = std::move(submit.key.payload),
                                                 .group = std::move(submit.key.group),
                                                 .first = submit.first,
                                                 .count = submit.count,
                                                 .after = after});
    for (const auto& [from, to] : submit.gone) {
      for (JobId id = from; id <= to; ++id) call.lose(id - submit.first);
    }
  }
  /// The record of this job is gone, which may be told more than once: with the last one of its call goes the key.
  void forget(JobId id) {
    const auto next = calls_.upper_bound(id);
    if (next == calls_.begin()) return;
    const auto call = std::prev(next);
    if (id - call->first < call->second.count && call->second.lose(id - call->first)) erase(call);
  }
  /// The call that began with this job never was.
  void drop(JobId first) {
    if (const auto call = calls_.find(first); call != calls_.end()) erase(call);
  }
  /// Null where the key is free.
  [[nodiscard]] const Keyed* find(std::uint32_t uid, std::string_view word) const {
    const auto found = keys_.find(Key{uid, std::string(word)});
    return found == keys_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] std::size_t size() const { return keys_.size(); }

 private:
  using Key = std::pair<std::uint32_t, std::string>;
  struct Call {
    Key key;
    std::uint64_t count = 0;
    std::uint64_t kept = 0;
    std::vector<bool> gone;  // by place in the call; empty until the first goes

    /// True where none is left.
    bool lose(std::uint64_t place) {
      if (gone.empty()) gone.resize(count);
      if (!gone[place]) --kept;
      gone[place] = true;
      return kept == 0;
    }
  };
  using Calls = std::map<JobId, Call>;  // by their first job; no two share one

  void erase(Calls::iterator call) {
    keys_.erase(call->second.key);
    calls_.erase(call);
  }

  std::map<Key, Keyed> keys_;
  Calls calls_;
};

}  // namespace stint::core
