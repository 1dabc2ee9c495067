// Ids come back in the order of submission, each as soon as nothing smaller is unfinished.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <set>

#include "daemon/feed/submission_line.hpp"

namespace stint::feed {
namespace {

TEST(SubmissionLineTest, HoldsBackWhatOvertakes) {
  SubmissionLine line;
  line.add(1);
  line.add(2);
  line.finish(2);
  EXPECT_FALSE(line.take());
  line.finish(1);
  EXPECT_EQ(line.take(), 1U);
  EXPECT_EQ(line.take(), 2U);
  EXPECT_TRUE(line.empty());
}

TEST(SubmissionLineTest, AgreesWithASetUnderRandomSteps) {
  const char* const given = std::getenv("STINT_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "seed " << seed << '\n';
  std::mt19937_64 random(seed);
  SubmissionLine line;
  std::set<JobId> unfinished;
  std::set<JobId> done;
  JobId taken = 0;
  JobId newest = 0;
  for (int step = 0; step < 20'000; ++step) {
    const JobId id = taken + 1 + random() % (newest - taken + 3);
    if (random() % 8 == 0) {
      line.erase(id);
      unfinished.erase(id);
      done.erase(id);
    } else if (random() % 2 == 0) {
      line.finish(id);
      unfinished.erase(id);
      done.insert(id);
    } else if (!done.contains(id)) {
      line.add(id);
      unfinished.insert(id);
    }
    newest = std::max(newest, id);
    while (const auto next = line.take()) {
      ASSERT_FALSE(done.empty());
      ASSERT_EQ(*next, *done.begin());
      ASSERT_TRUE(unfinished.empty() || *unfinished.begin() > *next);
      taken = *next;
      done.erase(done.begin());
    }
    ASSERT_EQ(line.size(), unfinished.size() + done.size());
    ASSERT_TRUE(done.empty() || (!unfinished.empty() && *unfinished.begin() < *done.begin()));
  }
}

}  // namespace
}  // namespace stint::feed
