// The set of ids against std::set, and that runs cost one entry.
#include "daemon/db/id_set.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace stint::db {
namespace {

TEST(IdSet, NeighboursMerge) {
  IdSet set;
  for (const std::uint64_t id : {5U, 7U, 6U, 6U, 4U, 8U}) set.insert(id);
  EXPECT_EQ(set.range_count(), 1U);
  EXPECT_TRUE(set.contains(4));
  EXPECT_TRUE(set.contains(8));
  EXPECT_FALSE(set.contains(3));
  EXPECT_FALSE(set.contains(9));
}

TEST(IdSet, BehavesAsASet) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  IdSet set;
  std::set<std::uint64_t> model;
  for (int step = 0; step < 2'000; ++step) {
    const std::uint64_t id = random() % 1'500;
    set.insert(id);
    model.insert(id);
  }
  std::size_t ranges = 0;
  for (std::uint64_t id = 0; id < 1'501; ++id) {
    ASSERT_EQ(set.contains(id), model.contains(id)) << id;
    if (model.contains(id) && (id == 0 || !model.contains(id - 1))) ++ranges;
  }
  EXPECT_EQ(set.range_count(), ranges);
}

}  // namespace
}  // namespace stint::db
