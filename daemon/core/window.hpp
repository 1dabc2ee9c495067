// The front of a line: those whose specifications are kept in memory, so that they can start at once. Who stands behind it is
// shelved: a header here, the specification in the store's table only.
//
// Counts and bounds; the owner loads and shelves. Everybody in the line up to `end` is inside. A value; throws
// std::bad_alloc only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "daemon/core/line.hpp"

namespace stint::core {

class Window {
 public:
  /// `size` are loaded in one go, once fewer than half of them are left; where others join before them twice as many stay.
  explicit Window(std::uint64_t size = 0) : size_(size) {}

  [[nodiscard]] bool covers(Place place) const { return count_ > 0 && !(end_ < place); }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }

  /// `place` has joined the line.
  void joined(const Line& line, Place place) {
    if (covers(place)) {
      ++count_;
    } else if (count_ + 1 == line.size() && count_ < size_) {  // nobody is shelved
      end_ = place;
      ++count_;
    }
  }
  /// `place` has left the line, or is leaving it.
  void left(Place place) {
    if (covers(place)) --count_;
  }

  /// Calls `take(id)` for those that come inside, until half a window is full again.
  template <class Take>
  void advance(const Line& line, Take&& take) {
    if (count_ >= std::min((size_ + 1) / 2, line.size())) return;
    line.each_after(count_ > 0 ? end_ : Place::first(), [&](Place place) {
      end_ = place;
      take(place.id);
      return ++count_ < size_;
    });
  }
  /// Calls `drop(id)` for those that are outside from now on.
  template <class Drop>
  void retreat(const Line& line, Drop&& drop) {
    while (count_ > 2 * size_) {
      const Place last = line.last_up_to(end_);
      --count_;
      end_ = Place{last.key, last.id - 1};
      drop(last.id);
    }
  }

 private:
  std::uint64_t size_;
  Place end_;
  std::uint64_t count_ = 0;
};

}  // namespace stint::core
