// Which finished jobs are old enough to go: the rule of retention, over headers in the order of seq.
//
// Values and functions; any thread. Throws std::bad_alloc only.
#pragma once

#include <cstdint>
#include <vector>

#include "daemon/db/store.hpp"

namespace stint::db {

/// What the rule needs of a finished job.
struct Aged {
  Seq seq = 0;
  JobId id = 0;
  Time finished_at{};
  std::uint64_t kept_bytes = 0;  ///< of the output of all its attempts
};

/// How much is kept in all.
struct KeptTotals {
  std::uint64_t jobs = 0;
  std::uint64_t output_bytes = 0;
  bool operator==(const KeptTotals&) const = default;
};

/// The first of `oldest` (ascending seq) that ended before `time`. Seqs are given in the order of time but for steps of
/// the clock, so the first that is too young ends it: what an odd clock hides behind that one is found in its turn.
[[nodiscard]] std::vector<JobId> those_before(const std::vector<Aged>& oldest, Time time);

/// What the rule looks at, each as far as the limit goes.
struct Oldest {
  std::vector<Aged> own;    ///< those that say themselves how long they are kept, and are past it
  std::vector<Aged> all;    ///< ascending seq
  std::vector<Aged> plain;  ///< ascending seq: those that say nothing
};

/// Those that are past a bound, where `totals` are kept now; at most `limit`. A job's own `keep` counts for the age; the bounds
/// on number and bytes are for all, because they are there for the disk's sake.
[[nodiscard]] std::vector<JobId> those_overdue(const Oldest& oldest, KeptTotals totals, const Retention& retention, Time now,
                                               std::size_t limit);

}  // namespace stint::db
