// Which finished jobs are old enough to go: the rule of retention, over headers in the order of seq.
//
// Values and functions; any thread. Throws std::bad_alloc only.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "daemon/db/store.hpp"

namespace stint::db {

/// The first of `oldest` (ascending seq) that ended before `time`. Seqs are given in the order of time but for steps of
/// the clock, so the first that is too young ends it: what an odd clock hides behind that one is found in its turn.
[[nodiscard]] std::vector<JobId> those_before(const std::vector<Aged>& oldest, Time time);

/// What the rule looks at, each as far as the limit goes.
struct Oldest {
  std::vector<Aged> own;     ///< those that say themselves how long they are kept, and are past it
  std::vector<Aged> all;     ///< ascending seq; may be left out where no total is exceeded
  std::vector<Aged> plain;   ///< ascending seq: those that say nothing and are older than the bound
  std::optional<Time> next;  ///< when the next of either kind comes of age
};

[[nodiscard]] KeptTotals plus(KeptTotals left, const KeptTotals& right);
/// What is left of `totals` without what is kept although it is past a bound.
[[nodiscard]] KeptTotals without(KeptTotals totals, const KeptTotals& kept);
[[nodiscard]] bool exceeds(const KeptTotals& totals, const Retention& retention);
/// The earlier of both, as far as there are any.
[[nodiscard]] std::optional<Time> earlier(std::optional<Time> left, std::optional<Time> right);

/// Those that are past a bound, where `totals` are kept now; at most `limit`. A job's own `keep` counts for the age; the bounds
/// on number and bytes are for all, because they are there for the disk's sake.
[[nodiscard]] Overdue those_overdue(const Oldest& oldest, KeptTotals totals, const Retention& retention, std::size_t limit);

}  // namespace stint::db
