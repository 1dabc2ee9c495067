// Counted permits with the lines of those who wait for one: the slots of a lane, and the shape of every limit to come.
//
// Counts only; who takes or gives back a permit is decided by the scheduler. Work that needs a commit before it may
// start stands in a line of its own, so that it can be held back while the store refuses new work without stopping
// the rest; who is first is decided over both lines. Throws std::bad_alloc only.
#pragma once

#include <cstdint>
#include <optional>

#include "daemon/core/line.hpp"

namespace stint::core {

struct Permits {
  std::uint32_t capacity = 0;
  std::uint64_t used = 0;  ///< above capacity after that was lowered
  Line durable;
  Line transient;

  [[nodiscard]] Line& line(bool is_durable) { return is_durable ? durable : transient; }
  [[nodiscard]] const Line& line(bool is_durable) const { return is_durable ? durable : transient; }
  [[nodiscard]] bool any_free() const { return used < capacity; }
  [[nodiscard]] std::uint64_t waiting() const { return durable.size() + transient.size(); }
  [[nodiscard]] std::uint64_t ahead(Place place) const { return durable.ahead(place) + transient.ahead(place); }

  /// The line whose first waiter is served next; null where nobody may be.
  [[nodiscard]] Line* next(bool durable_held) {
    const bool from_durable = !durable.empty() && !durable_held;
    if (!from_durable) return transient.empty() ? nullptr : &transient;
    return !transient.empty() && transient.front() < durable.front() ? &transient : &durable;
  }
};

}  // namespace stint::core
