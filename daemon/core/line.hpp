// A line of waiters ordered by one static key: who stands first is served first, nobody is ever re-sorted.
//
// Sorted chunks of at most 512 entries of 16 bytes: joining at the end and leaving from the front cost amortised O(1),
// anywhere else O(log n + one chunk). Holds no jobs, only keys and ids. A value: any thread, one at a time. Throws
// std::bad_alloc only; asking for the front of an empty line is undefined.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

#include "common/job.hpp"

namespace stint::core {

/// A place in a line: smaller goes first. Unique because of the id.
struct Place {
  std::int64_t key = 0;
  JobId id = 0;
  auto operator<=>(const Place&) const = default;
  /// Before all others.
  static constexpr Place first() { return {std::numeric_limits<std::int64_t>::min(), 0}; }
};

/// The static key of a job: age in microseconds, with `ageing` as what one point of priority is worth.
[[nodiscard]] inline std::int64_t line_key(Time submitted_at, std::int32_t priority, Duration ageing) {
  return submitted_at.time_since_epoch().count() - std::int64_t{priority} * ageing.count();
}

class Line {
 public:
  static constexpr std::size_t chunk_entries_max = 512;

  /// False where the place is taken already; nothing changes then.
  bool insert(Place place);
  /// False where it does not stand here.
  bool erase(Place place);

  [[nodiscard]] Place front() const { return chunks_.front().front(); }
  void pop_front();

  [[nodiscard]] bool contains(Place place) const;
  /// How many stand before `place`, whether it stands here or not: O(n / 512).
  [[nodiscard]] std::uint64_t ahead(Place place) const;

  /// The last that stands at `bound` or before it, which must be there.
  [[nodiscard]] Place last_up_to(Place bound) const;
  /// Those behind `place`, in order, until `visit` returns false. Nothing may be changed meanwhile.
  template <class Visit>
  void each_after(Place place, Visit&& visit) const {
    for (auto chunk = chunk_of(place); chunk != chunks_.end(); ++chunk) {
      const auto begin = chunk->entries.begin() + static_cast<std::ptrdiff_t>(chunk->begin);
      for (auto at = std::upper_bound(begin, chunk->entries.end(), place); at != chunk->entries.end(); ++at) {
        if (!visit(*at)) return;
      }
    }
  }
  /// From the front, until `visit(Place)` returns false.
  template <class Visit>
  void each(Visit&& visit) const {
    for (const Chunk& chunk : chunks_) {
      for (std::size_t i = chunk.begin; i < chunk.entries.size(); ++i) {
        if (!visit(chunk.entries[i])) return;
      }
    }
  }

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  /// Bytes that the entries occupy, unused room included.
  [[nodiscard]] std::size_t entry_bytes() const;

  /// Throws std::logic_error where the order or the count is broken.
  void check() const;

 private:
  struct Chunk {
    std::vector<Place> entries;
    std::size_t begin = 0;  // those before it have left

    [[nodiscard]] Place front() const { return entries[begin]; }
    [[nodiscard]] Place back() const { return entries.back(); }
    [[nodiscard]] std::size_t size() const { return entries.size() - begin; }
    void drop_gap();
  };
  using Chunks = std::deque<Chunk>;

  [[nodiscard]] Chunks::iterator chunk_of(Place place);
  [[nodiscard]] Chunks::const_iterator chunk_of(Place place) const;
  Chunks::iterator make_room(Chunks::iterator chunk, Place place);
  void merge_around(Chunks::iterator chunk);

  Chunks chunks_;  // none is empty
  std::uint64_t size_ = 0;
};

}  // namespace stint::core
