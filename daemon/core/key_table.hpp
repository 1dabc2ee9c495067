// Idempotency keys, by user and word: what was submitted with one, for as long as the record of its first job is kept.
//
// Lies in memory whole, so that a repeated submit is known before anything is asked of the store; retention bounds it. A
// value; throws std::bad_alloc only.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

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
    by_first_.emplace(submit.first, key);
    keys_.insert_or_assign(std::move(key), Keyed{.payload = std::move(submit.key.payload),
                                                 .group = std::move(submit.key.group),
                                                 .first = submit.first,
                                                 .count = submit.count,
                                                 .after = after});
  }
  /// The record of this job is gone: so is the key that it was the first of, if it was.
  void drop(JobId first) {
    if (by_first_.empty()) return;
    if (const auto found = by_first_.extract(first)) keys_.erase(found.mapped());
  }
  /// Null where the key is free.
  [[nodiscard]] const Keyed* find(std::uint32_t uid, std::string_view word) const {
    const auto found = keys_.find(Key{uid, std::string(word)});
    return found == keys_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] std::size_t size() const { return keys_.size(); }

 private:
  using Key = std::pair<std::uint32_t, std::string>;
  std::map<Key, Keyed> keys_;
  std::unordered_map<JobId, Key> by_first_;
};

}  // namespace stint::core
