// Counted permits with the lines of those who wait for one: the slots of a lane, and the shape of every limit to come.
//
// Counts only; who takes or gives back a permit is decided by the scheduler. Work that needs a commit before it may
// start stands in a line of its own, so that it can be held back while the store refuses new work without stopping
// the rest; who is first is decided over both lines. Throws std::bad_alloc only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "common/limits.hpp"
#include "daemon/core/line.hpp"
#include "daemon/core/pace.hpp"
#include "daemon/core/window.hpp"

namespace stint::core {

struct Permits {
  std::uint32_t capacity = 0;  ///< `slots`, and those that are lent, limits::lent_max at most
  std::uint32_t slots = 0;
  std::uint64_t lent = 0;  ///< jobs that run and wait
  std::uint64_t used = 0;  ///< above capacity after that was lowered
  /// Starts that may be on their way beyond the capacity, so that whoever runs them has the next one at hand.
  std::uint64_t allowance = 0;
  std::optional<Pace> pace;  ///< only where starts may go ahead: of programs and pools
  Time last_begun{};
  std::optional<Time> stall_at;       ///< when it is looked whether starts ahead wait in vain
  std::uint64_t stall_number = 0;     ///< of that alarm
  std::set<Place> unbegun;            ///< started and not begun; empty without a pace
  std::set<Place> wanted_back;        ///< of `unbegun`, in the lane of a pool: recalled, and neither back nor begun
  std::uint64_t doomed = 0;           ///< in no line any more, and not ended yet
  std::uint64_t parked = 0;           ///< in no line yet: they lack a permit
  std::uint64_t limited_unbegun = 0;  ///< of `unbegun`, those that hold permits
  Line durable;
  Line transient;
  Window window;  ///< of `durable`
  Line inner;     ///< in a drain of what runs: who may start nevertheless, because a job that runs has submitted it

  [[nodiscard]] std::uint32_t with_lent() const {
    return slots + static_cast<std::uint32_t>(std::min<std::uint64_t>(lent, limits::lent_max));
  }
  [[nodiscard]] Line& line(bool is_durable) { return is_durable ? durable : transient; }
  [[nodiscard]] const Line& line(bool is_durable) const { return is_durable ? durable : transient; }
  /// As many starts ahead as the pace asks for.
  void set_allowance() {
    if (pace) allowance = pace->ahead(capacity);
  }
  /// Nothing is started ahead while somebody who holds permits has not begun: it would hold them and wait for a slot.
  [[nodiscard]] bool any_free() const { return used < capacity + (limited_unbegun > 0 ? 0 : allowance); }
  /// One runner takes all messages of a pool, in turn: who stands behind those that are on their way back would overtake them.
  [[nodiscard]] bool waits_for_recall(const Line& line) const {
    return !wanted_back.empty() && *wanted_back.begin() < line.front();
  }
  [[nodiscard]] bool slot_free() const { return used < capacity; }
  /// How many were started for whom there is no slot yet: the last of `unbegun`. Still queued for everybody outside.
  [[nodiscard]] std::uint64_t ahead() const {
    const std::uint64_t over = used > capacity ? used - capacity : 0;
    return std::min<std::uint64_t>(over, unbegun.size());
  }
  [[nodiscard]] bool is_ahead(Place place) const { return ahead() > 0 && !(place < *first_ahead()) && unbegun.contains(place); }
  /// At most Pace::ahead_max steps, but for a capacity that was lowered.
  [[nodiscard]] std::set<Place>::const_iterator first_ahead() const {
    return std::prev(unbegun.end(), static_cast<std::ptrdiff_t>(ahead()));
  }
  [[nodiscard]] std::uint64_t running() const { return used - ahead(); }
  [[nodiscard]] bool stands(bool is_durable, Place place) const {
    return line(is_durable).contains(place) || inner.contains(place);
  }
  [[nodiscard]] bool has_waiters() const { return !durable.empty() || !transient.empty() || !inner.empty(); }
  /// One of its lines that is not empty; there is one.
  [[nodiscard]] const Line& any_line() const { return !durable.empty() ? durable : !transient.empty() ? transient : inner; }
  /// Who does not run, started ahead or in line.
  [[nodiscard]] std::uint64_t waiting() const {
    return ahead() + durable.size() + transient.size() + inner.size() + doomed + parked;
  }
  [[nodiscard]] std::uint64_t before(Place place) const {
    const auto started = std::count_if(first_ahead(), unbegun.end(), [place](Place each) { return each < place; });
    return static_cast<std::uint64_t>(started) + durable.ahead(place) + transient.ahead(place) + inner.ahead(place);
  }

  /// The line whose first waiter is served next; null where nobody may be.
  [[nodiscard]] Line* next(bool durable_held) { return const_cast<Line*>(std::as_const(*this).next(durable_held)); }
  [[nodiscard]] const Line* next(bool durable_held) const {
    const bool from_durable = !durable.empty() && !durable_held;
    if (!from_durable) return transient.empty() ? nullptr : &transient;
    return !transient.empty() && transient.front() < durable.front() ? &transient : &durable;
  }
};

}  // namespace stint::core
