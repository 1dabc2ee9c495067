// Whether a job runs again after an attempt has ended, and when: PROTOCOL section 3, `retry`.
//
// Functions of values. The chance in `jitter` is drawn from the job's id and the attempt, so that the core stays
// deterministic and a daemon that starts again comes to the same time. Throws nothing.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/job.hpp"

namespace stint::core {

/// `ended` is the number of the attempt that has ended.
[[nodiscard]] inline bool runs_again(const Retry& retry, Outcome outcome, Attempt ended) {
  if (ended > retry.max) return false;
  const auto listed = [&retry](RetryCause cause) { return std::ranges::find(retry.on, cause) != retry.on.end(); };
  switch (outcome) {
    case Outcome::failed: return listed(RetryCause::failed);
    case Outcome::timed_out: return listed(RetryCause::timed_out);
    case Outcome::lost: return listed(RetryCause::lost);
    default: return false;
  }
}

/// 0 … below 1, evenly spread over jobs and attempts (the finaliser of splitmix64).
[[nodiscard]] inline double retry_chance(JobId id, Attempt ended) {
  std::uint64_t bits = id * 0x9e3779b97f4a7c15ULL + ended;
  bits = (bits ^ (bits >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ (bits >> 27U)) * 0x94d049bb133111ebULL;
  bits ^= bits >> 31U;
  return std::ldexp(static_cast<double>(bits >> 11U), -53);
}

/// From the end of attempt `ended` to the next.
[[nodiscard]] inline Duration retry_delay(const Retry& retry, JobId id, Attempt ended) {
  const Duration longest = retry.max_delay.value_or(std::max<Duration>(std::chrono::hours(1), retry.delay));
  const double grown = to_seconds(retry.delay) * std::pow(retry.factor, static_cast<double>(ended) - 1);
  const double bounded = std::min(grown, to_seconds(longest));
  return from_seconds(bounded * (1 - retry.jitter * retry_chance(id, ended)));
}

}  // namespace stint::core
