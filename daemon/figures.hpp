// Figures for daemon.stats: latency quantiles and rates, kept without timers and without allocation.
//
// I/O thread only.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "common/time.hpp"

namespace stint {

/// Counts durations in buckets that grow by a quarter, so a quantile is at most 25 % off. 1 µs … 2^40 µs.
class LatencyHistogram {
 public:
  void add(Duration value) {
    const auto micros = static_cast<std::uint64_t>(value.count() < 1 ? 1 : value.count());
    ++buckets_[bucket_of(micros)];
    ++count_;
  }
  /// The upper edge of the bucket in which quantile `q` (0 … 1) lies; 0 where nothing was counted.
  [[nodiscard]] Duration quantile(double q) const {
    if (count_ == 0) return Duration{0};
    const auto rank = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= rank && seen > 0) return Duration{upper_edge(i)};
    }
    return Duration{upper_edge(buckets_.size() - 1)};
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  static constexpr std::size_t octaves = 41;

  static std::size_t bucket_of(std::uint64_t micros) {
    const auto octave = static_cast<std::size_t>(std::bit_width(micros) - 1);
    if (octave >= octaves) return octaves * 4 - 1;
    const std::uint64_t quarter = octave >= 2 ? (micros >> (octave - 2)) & 3U : (micros << (2 - octave)) & 3U;
    return octave * 4 + quarter;
  }
  static std::int64_t upper_edge(std::size_t bucket) {
    return static_cast<std::int64_t>(std::ldexp(1.0 + static_cast<double>(bucket % 4 + 1) / 4, static_cast<int>(bucket / 4)));
  }

  std::array<std::uint64_t, octaves * 4> buckets_{};
  std::uint64_t count_ = 0;
};

/// How many a second over the last minute; counts by second in a ring, so nothing has to wake up.
class RateMeter {
 public:
  void add(Time now, std::uint64_t n = 1) {
    advance(second_of(now));
    counts_[static_cast<std::size_t>(last_) % counts_.size()] += n;
    total_ += n;
  }
  [[nodiscard]] double per_second(Time now) const {
    const std::int64_t second = second_of(now);
    std::uint64_t sum = 0;
    for (std::int64_t s = second - 59; s <= second; ++s) {
      if (s <= last_ && s > last_ - static_cast<std::int64_t>(counts_.size()))
        sum += counts_[static_cast<std::size_t>(s) % counts_.size()];
    }
    return static_cast<double>(sum) / 60.0;
  }
  [[nodiscard]] std::uint64_t total() const { return total_; }

 private:
  static std::int64_t second_of(Time now) { return now.time_since_epoch().count() / 1'000'000; }
  void advance(std::int64_t second) {
    if (second <= last_) return;
    if (second - last_ >= static_cast<std::int64_t>(counts_.size())) {
      counts_.fill(0);
    } else {
      for (std::int64_t s = last_ + 1; s <= second; ++s) counts_[static_cast<std::size_t>(s) % counts_.size()] = 0;
    }
    last_ = second;
  }

  std::array<std::uint64_t, 64> counts_{};
  std::int64_t last_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace stint
