// What hangs on undecided Persists: found by number, gone when decided.
#include "daemon/core/commit_log.hpp"

#include <gtest/gtest.h>

namespace stint::core {
namespace {

std::vector<JobId> decided(CommitLog& log, PersistNumber number) {
  std::vector<JobId> left;
  log.decided(number, [&](JobId id) { left.push_back(id); });
  return left;
}

TEST(CommitLog, FindsExactlyWhatHangsOnANumber) {
  CommitLog log;
  log.started(1, 10);
  log.started(2, 20);
  log.started(2, 21);
  log.started(4, 40);
  const auto starts = log.starts_of(2);
  ASSERT_EQ(std::ranges::distance(starts), 2);
  EXPECT_EQ(starts.begin()->id, 20U);
  EXPECT_TRUE(std::ranges::empty(log.starts_of(3)));
  EXPECT_TRUE(std::ranges::empty(log.submits_of(2)));
  decided(log, 3);
  EXPECT_TRUE(std::ranges::empty(log.starts_of(2)));
  EXPECT_FALSE(std::ranges::empty(log.starts_of(4)));
}

TEST(CommitLog, FinishesLeaveInOrderWhenDecided) {
  CommitLog log;
  EXPECT_EQ(log.newest_finish(), 0U);
  log.finished(2, 7);
  log.finished(2, 5);
  log.finished(3, 9);
  EXPECT_EQ(log.newest_finish(), 3U);
  EXPECT_TRUE(decided(log, 1).empty());
  EXPECT_EQ(decided(log, 2), (std::vector<JobId>{7, 5}));
  EXPECT_EQ(decided(log, 9), (std::vector<JobId>{9}));
  EXPECT_EQ(log.newest_finish(), 0U);
}

TEST(CommitLog, RefusedIdsAreKnownUntilAllThatWasEmittedIsDecidedAndOneCallMore) {
  CommitLog log;
  log.submitted(4, 100, 3);
  log.refused(*log.submits_of(4).begin(), 6);
  EXPECT_FALSE(log.was_refused(99));
  EXPECT_TRUE(log.was_refused(100));
  EXPECT_TRUE(log.was_refused(102));
  EXPECT_FALSE(log.was_refused(103));
  decided(log, 4);
  EXPECT_TRUE(log.was_refused(100));
  decided(log, 6);
  EXPECT_TRUE(log.was_refused(100));
  decided(log, 7);
  EXPECT_FALSE(log.was_refused(100));
}

}  // namespace
}  // namespace stint::core
