// What waits for the store: effects, answers and reads, released in the order of the Persist that they wait for.
//
// A value; the engine owns it. Entries for one Persist keep the order in which they were added.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <variant>

#include "common/error.hpp"
#include "daemon/core/effects.hpp"

namespace stint {

class Held {
 public:
  using Answer = std::function<void(std::optional<Error>)>;
  using Read = std::function<void(bool stands)>;  ///< as Backend::when_seen
  using Thing = std::variant<core::Effect, Answer, Read>;

  void add(core::PersistNumber after, Thing thing) {
    Entry entry{after, std::move(thing)};
    if (entries_.empty() || entries_.back().after <= after) {
      entries_.push_back(std::move(entry));
    } else {
      // Only what waits for an older Persist than the newest comes here, which is rare.
      entries_.insert(end_of(after), std::move(entry));
    }
  }

  /// The next thing whose Persist is at or below `durable`.
  [[nodiscard]] std::optional<Thing> take(core::PersistNumber durable) {
    if (entries_.empty() || entries_.front().after > durable) return std::nullopt;
    Thing thing = std::move(entries_.front().thing);
    entries_.pop_front();
    return thing;
  }

  /// Takes everything out that waits for exactly `number`: it was refused.
  [[nodiscard]] std::vector<Thing> take_exactly(core::PersistNumber number) {
    const auto from = end_of(number - 1);
    const auto to = end_of(number);
    std::vector<Thing> things;
    for (auto entry = from; entry != to; ++entry) things.push_back(std::move(entry->thing));
    entries_.erase(from, to);
    return things;
  }

  /// Takes out the reads that wait for `number` or a newer one: it was refused, and they may have seen it.
  [[nodiscard]] std::vector<Read> take_reads(core::PersistNumber number) {
    std::vector<Read> reads;
    const auto seen = std::remove_if(end_of(number - 1), entries_.end(), [&reads](Entry& entry) {
      auto* const read = std::get_if<Read>(&entry.thing);
      if (read != nullptr) reads.push_back(std::move(*read));
      return read != nullptr;
    });
    entries_.erase(seen, entries_.end());
    return reads;
  }

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    core::PersistNumber after = 0;
    Thing thing;
  };

  /// Behind everything that waits for `number` or an older one.
  std::deque<Entry>::iterator end_of(core::PersistNumber number) {
    return std::upper_bound(entries_.begin(), entries_.end(), number,
                            [](core::PersistNumber value, const Entry& entry) { return value < entry.after; });
  }

  std::deque<Entry> entries_;
};

}  // namespace stint
