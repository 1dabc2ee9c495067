// Finished jobs by id, by seq, by group and by user.
#include "daemon/db/finished_index.hpp"

#include <gtest/gtest.h>

#include "tests/unit/db/finished_jobs.hpp"

namespace stint::db {
namespace {

ResultsQuery query(std::optional<std::string> group, std::optional<std::uint32_t> uid = {}, Seq since = 0,
                   std::size_t limit = 256) {
  return {std::move(group), uid, since, limit};
}

class FinishedIndexTest : public testing::Test {
 protected:
  void SetUp() override {
    index_.add(finished(30, 1, "a"));
    index_.add(finished(10, 2, "b"));
    index_.add(finished(20, 3, "a", 7));
    index_.add(finished(40, 4));
  }
  [[nodiscard]] std::vector<Seq> results(const ResultsQuery& asked) const { return seqs(index_.results(asked)); }
  FinishedIndex index_;
};

TEST_F(FinishedIndexTest, ResultsComeInTheOrderOfSeq) {
  EXPECT_EQ(results({}), (std::vector<Seq>{1, 2, 3, 4}));
  EXPECT_EQ(results(query({}, {}, 2)), (std::vector<Seq>{3, 4}));
  EXPECT_EQ(results(query({}, {}, 1, 2)), (std::vector<Seq>{2, 3}));
  EXPECT_TRUE(results(query({}, {}, 0, 0)).empty());
  EXPECT_EQ(results(query("a")), (std::vector<Seq>{1, 3}));
  EXPECT_EQ(results(query("a", 7)), (std::vector<Seq>{3}));
  EXPECT_EQ(results(query({}, 1000, 1)), (std::vector<Seq>{2, 4}));
  EXPECT_TRUE(results(query("none")).empty());
  EXPECT_TRUE(results(query({}, 8)).empty());
}

TEST_F(FinishedIndexTest, ListsComeInTheOrderOfId) {
  EXPECT_EQ(seqs(index_.list({.after = 0, .up_to = 100})), (std::vector<Seq>{2, 3, 1, 4}));
  EXPECT_EQ(seqs(index_.list({.after = 10, .up_to = 30})), (std::vector<Seq>{3, 1}));
  EXPECT_EQ(seqs(index_.list({.after = 0, .up_to = 100, .limit = 1})), (std::vector<Seq>{2}));
}

TEST_F(FinishedIndexTest, ForgottenIsPurgedAndNeverSeenIsNot) {
  index_.forget(20);
  index_.forget(99);
  EXPECT_EQ(index_.get(20).presence, Presence::purged);
  EXPECT_EQ(index_.get(99).presence, Presence::never_existed);
  EXPECT_EQ(index_.get(30).presence, Presence::found);
  EXPECT_EQ(index_.get(30).job->seq, 1U);
  EXPECT_EQ(results(query("a")), (std::vector<Seq>{1}));
  EXPECT_TRUE(results(query({}, 7)).empty());
  EXPECT_EQ(index_.size(), 3U);
}

TEST_F(FinishedIndexTest, AGroupIsKnownAfterItsMembersAreForgotten) {
  index_.forget(10);
  EXPECT_TRUE(index_.knows_group("b"));
  EXPECT_FALSE(index_.knows_group("c"));
  EXPECT_TRUE(results(query("b")).empty());
}

TEST_F(FinishedIndexTest, EndedBefore) {
  EXPECT_EQ(index_.ended_before(Time{std::chrono::seconds(3)}, 10), (std::vector<JobId>{30, 10}));
  EXPECT_EQ(index_.ended_before(Time{std::chrono::seconds(9)}, 3), (std::vector<JobId>{30, 10, 20}));
  EXPECT_TRUE(index_.ended_before(Time{std::chrono::seconds(1)}, 10).empty());
}

TEST_F(FinishedIndexTest, OverdueByEachBound) {
  const Time now{std::chrono::seconds(10)};
  const Retention ample{.age = std::chrono::hours(1), .jobs = 100, .output_bytes = 0};
  const auto overdue = [&](const Retention& bounds, std::size_t limit, PassedOver passed = {}) {
    return ids_of(index_.overdue(bounds, now, passed, limit));
  };
  EXPECT_TRUE(overdue(ample, 10).empty());
  Retention few = ample;
  few.jobs = index_.size() - 2;
  EXPECT_EQ(overdue(few, 10), (std::vector<JobId>{30, 10}));
  EXPECT_EQ(overdue(few, 1), (std::vector<JobId>{30}));
  EXPECT_EQ(overdue(few, 10, {.seq = 1, .kept = {1, 0}}), (std::vector<JobId>{10})) << "the first is kept although it is over";
  EXPECT_TRUE(overdue(few, 10, {.seq = 2, .kept = {2, 0}}).empty());
  Retention young = ample;
  young.age = std::chrono::seconds(8);  // finished in second 1, 2, 3 …: one is older
  EXPECT_EQ(overdue(young, 10), (std::vector<JobId>{30}));
  EXPECT_EQ(index_.overdue(young, now, {}, 10).next, Time{std::chrono::seconds(10)}) << "the one that ended in second 2";
}

TEST(FinishedIndex, ForgettingMostOfManyKeepsTheRest) {
  FinishedIndex index;
  for (JobId id = 1; id <= 5'000; ++id) index.add(finished(id, id, "g"));
  for (JobId id = 1; id <= 5'000; ++id) {
    if (id % 100 != 0) index.forget(id);
  }
  const auto left = index.results(query("g"));
  ASSERT_EQ(left.size(), 50U);
  EXPECT_EQ(left[49]->id, 5'000U);
}

}  // namespace
}  // namespace stint::db
