// The figures of daemon.stats: quantiles within a quarter, rates over a minute that ends now.
#include "daemon/figures.hpp"

#include <gtest/gtest.h>

namespace stint {
namespace {

TEST(LatencyHistogram, QuantilesAreWithinAQuarterAbove) {
  LatencyHistogram histogram;
  for (int i = 1; i <= 1000; ++i) histogram.add(Duration{i * 10});
  for (const double q : {0.01, 0.5, 0.9, 0.99, 1.0}) {
    const double exact = q * 10'000;
    const auto found = static_cast<double>(histogram.quantile(q).count());
    EXPECT_GE(found * 1.0001, exact) << q;
    EXPECT_LE(found, exact * 1.25 + 10) << q;
  }
}

TEST(LatencyHistogram, TakesZeroAndEnormousValues) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), Duration{0});
  histogram.add(Duration{0});
  EXPECT_LE(histogram.quantile(1), Duration{2});
  histogram.add(Duration{INT64_MAX});
  EXPECT_GT(histogram.quantile(1), std::chrono::hours(24));
}

TEST(RateMeter, CountsTheLastMinuteOnly) {
  RateMeter meter;
  const Time start{std::chrono::hours(1)};
  meter.add(start, 60);
  EXPECT_DOUBLE_EQ(meter.per_second(start), 1.0);
  EXPECT_DOUBLE_EQ(meter.per_second(start + std::chrono::seconds(59)), 1.0);
  EXPECT_DOUBLE_EQ(meter.per_second(start + std::chrono::seconds(60)), 0.0);
  meter.add(start + std::chrono::seconds(30), 60);
  EXPECT_DOUBLE_EQ(meter.per_second(start + std::chrono::seconds(31)), 2.0);
  meter.add(start + std::chrono::hours(5), 30);
  EXPECT_DOUBLE_EQ(meter.per_second(start + std::chrono::hours(5)), 0.5);
  EXPECT_EQ(meter.total(), 150U);
}

}  // namespace
}  // namespace stint
