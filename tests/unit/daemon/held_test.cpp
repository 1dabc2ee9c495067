// Held: what waits for the store comes out in the order of the Persist that it waits for.
#include "daemon/held.hpp"

#include <gtest/gtest.h>

namespace stint {
namespace {

core::Effect start_of(JobId id) {
  return core::Start{.after = 0, .lane = core::Lane::coroutine, .id = id, .attempt = 1, .recorded = true};
}

JobId id_of(const Held::Thing& thing) { return std::get<core::Start>(std::get<core::Effect>(thing)).id; }

TEST(Held, ReleasesInOrderOfPersistAndOfArrival) {
  Held held;
  held.add(2, start_of(20));
  held.add(1, start_of(10));
  held.add(2, start_of(21));
  held.add(3, start_of(30));
  EXPECT_FALSE(held.take(0));
  std::vector<JobId> order;
  while (auto thing = held.take(2)) order.push_back(id_of(*thing));
  EXPECT_EQ(order, (std::vector<JobId>{10, 20, 21}));
  EXPECT_EQ(held.size(), 1U);
}

TEST(Held, TakesExactlyWhatWaitsForARefusedPersist) {
  Held held;
  for (JobId id : {10U, 20U, 21U, 30U}) held.add(id / 10, start_of(id));
  const auto refused = held.take_exactly(2);
  ASSERT_EQ(refused.size(), 2U);
  EXPECT_EQ(id_of(refused[0]), 20U);
  EXPECT_EQ(id_of(refused[1]), 21U);
  std::vector<JobId> left;
  while (auto thing = held.take(9)) left.push_back(id_of(*thing));
  EXPECT_EQ(left, (std::vector<JobId>{10, 30}));
  EXPECT_TRUE(held.take_exactly(2).empty());
}

TEST(Held, TakesTheReadsThatMayHaveSeenARefusedPersist) {
  Held held;
  std::vector<int> asked;
  for (int each : {10, 20, 21, 30}) {
    held.add(static_cast<core::PersistNumber>(each / 10), Held::Read([&asked, each](bool) { asked.push_back(each); }));
    held.add(static_cast<core::PersistNumber>(each / 10), start_of(static_cast<JobId>(each)));
  }
  for (const Held::Read& read : held.take_reads(2)) read(false);
  EXPECT_EQ(asked, (std::vector{20, 21, 30})) << "what is newer has seen it too";
  EXPECT_EQ(held.size(), 5U);
  EXPECT_TRUE(held.take_reads(2).empty());
}

}  // namespace
}  // namespace stint
