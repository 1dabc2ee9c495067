// A set of ids that mostly come in runs: ranges, so that a million neighbours cost one entry.
//
// A value: any thread, one at a time. Throws std::bad_alloc only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

namespace stint::db {

class IdSet {
 public:
  void insert(std::uint64_t id) {
    auto next = ranges_.upper_bound(id);  // the first range that begins behind id
    if (next != ranges_.begin()) {
      const auto previous = std::prev(next);
      if (id <= previous->second) return;
      if (id == previous->second + 1) {
        previous->second = id;
        if (next != ranges_.end() && next->first == id + 1) {
          previous->second = next->second;
          ranges_.erase(next);
        }
        return;
      }
    }
    if (next != ranges_.end() && next->first == id + 1) {
      const std::uint64_t last = next->second;
      next = ranges_.erase(next);
      ranges_.emplace_hint(next, id, last);
      return;
    }
    ranges_.emplace_hint(next, id, id);
  }

  [[nodiscard]] bool contains(std::uint64_t id) const {
    const auto next = ranges_.upper_bound(id);
    return next != ranges_.begin() && id <= std::prev(next)->second;
  }

  [[nodiscard]] std::size_t range_count() const { return ranges_.size(); }

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  // first → last, inclusive; neighbours are merged
};

}  // namespace stint::db
