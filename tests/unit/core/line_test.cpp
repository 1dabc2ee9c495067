// The line of waiters against std::set, and what it costs with a million of them.
#include "daemon/core/line.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <set>

namespace stint::core {
namespace {

TEST(LineKey, APointOfPriorityIsWorthAgeing) {
  const Time at{std::chrono::seconds(100)};
  const Duration ageing = std::chrono::seconds(2);
  EXPECT_EQ(line_key(at, 0, ageing), 100'000'000);
  EXPECT_EQ(line_key(at, 3, ageing), 94'000'000);
  EXPECT_EQ(line_key(at, -3, ageing), 106'000'000);
}

TEST(Line, SmallestKeyFirstThenId) {
  Line line;
  EXPECT_TRUE(line.insert({5, 3}));
  EXPECT_TRUE(line.insert({5, 2}));
  EXPECT_TRUE(line.insert({-1, 9}));
  EXPECT_FALSE(line.insert({5, 2}));
  EXPECT_EQ(line.size(), 3U);
  EXPECT_EQ(line.front(), (Place{-1, 9}));
  line.pop_front();
  EXPECT_EQ(line.front(), (Place{5, 2}));
  EXPECT_EQ(line.ahead({5, 3}), 1U);
  EXPECT_EQ(line.ahead({0, 0}), 0U);
  EXPECT_EQ(line.ahead({9, 9}), 2U);
  EXPECT_FALSE(line.erase({5, 4}));
  EXPECT_TRUE(line.erase({5, 3}));
  EXPECT_TRUE(line.erase({5, 2}));
  EXPECT_TRUE(line.empty());
  EXPECT_FALSE(line.erase({5, 2}));
  EXPECT_FALSE(line.contains({5, 2}));
}

// Phases of growth and of decline, so that chunks split, merge, and drain from the front.
TEST(Line, BehavesAsAnOrderedSet) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Line line;
  std::set<Place> model;
  JobId next_id = 1;
  for (int step = 0; step < 60'000; ++step) {
    const auto key = static_cast<std::int64_t>(random() % 20'000);
    const bool growing = (step / 6'000) % 2 == 0;
    const auto choice = random() % 10;
    if (choice < (growing ? 7U : 2U)) {
      const Place place = choice == 0 ? Place{1'000'000 + step, next_id++} : Place{key, next_id++};
      ASSERT_TRUE(line.insert(place));
      model.insert(place);
    } else if (choice == 9 && !model.empty()) {
      ASSERT_EQ(line.front(), *model.begin());
      line.pop_front();
      model.erase(model.begin());
    } else if (!model.empty()) {
      auto found = model.lower_bound({key, 0});
      if (found == model.end()) found = model.begin();
      ASSERT_TRUE(line.contains(*found));
      if (step % 50 == 0) {
        ASSERT_EQ(line.ahead(*found), static_cast<std::uint64_t>(std::distance(model.begin(), found)));
      }
      ASSERT_TRUE(line.erase(*found));
      ASSERT_FALSE(line.contains(*found));
      model.erase(found);
    }
    ASSERT_EQ(line.size(), model.size());
    if (step % 200 == 0) line.check();
  }
  line.check();
  for (const Place place : model) {
    ASSERT_EQ(line.front(), place);
    line.pop_front();
  }
  EXPECT_TRUE(line.empty());
}

TEST(Line, ChunksAtTheirBoundAndOnePast) {
  for (const std::size_t count : {Line::chunk_entries_max, Line::chunk_entries_max + 1}) {
    Line line;
    for (JobId id = 1; id <= count; ++id) ASSERT_TRUE(line.insert({0, id * 2}));
    ASSERT_TRUE(line.insert({0, 7}));  // into a full chunk
    line.check();
    EXPECT_EQ(line.size(), count + 1);
    EXPECT_EQ(line.ahead({0, 8}), 4U);
  }
}

TEST(Line, AMillionWaitersTakeSixteenBytesEach) {
  constexpr JobId count = 1'000'000;
  Line line;
  for (JobId id = 1; id <= count; ++id) ASSERT_TRUE(line.insert({static_cast<std::int64_t>(id), id}));
  EXPECT_LE(line.entry_bytes(), count * 17);
  EXPECT_EQ(line.ahead({count, count}), count - 1);
  // All but each tenth leave from the middle: memory follows.
  for (JobId id = 1; id <= count; ++id) {
    const bool leaves = id % 10 != 0;
    ASSERT_TRUE(!leaves || line.erase({static_cast<std::int64_t>(id), id}));
  }
  line.check();
  EXPECT_LE(line.entry_bytes(), count * 16);
  EXPECT_EQ(line.size(), count / 10);
}

}  // namespace
}  // namespace stint::core
