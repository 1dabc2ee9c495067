// Starts that go ahead of their slots: how many, how they look from outside, and how they are called back.
#include "daemon/core/pace.hpp"
#include "tests/unit/core/scheduler_fixture.hpp"

namespace stint::core {
namespace {

using namespace std::chrono_literals;

TEST(Pace, AsManyAsEndInTwiceTheTurnaround) {
  Pace pace(1ms);
  EXPECT_EQ(pace.ahead(4), 0U) << "nothing has run yet";
  pace.note_run(2ms);
  EXPECT_EQ(pace.ahead(4), 4U);
  pace.note_commit(3ms);
  EXPECT_EQ(pace.ahead(4), 16U);
  pace.note_commit(10s);
  EXPECT_EQ(pace.ahead(4), Pace::ahead_max);
}

TEST(Pace, ASlowCommitCountsAtOnceAndQuickOnesByAndBy) {
  Pace pace(1ms);
  pace.note_run(2ms);
  pace.note_commit(3ms);
  ASSERT_EQ(pace.ahead(4), 16U);
  pace.note_commit(1ms);
  EXPECT_EQ(pace.ahead(4), 16U);
  for (int i = 0; i < 100; ++i) pace.note_commit(1ms);
  EXPECT_EQ(pace.ahead(4), 9U);
}

TEST(Pace, NoneWhereAnIdleSlotWouldNotBeNoticed) {
  Pace pace(1ms);
  pace.note_run(41ms);
  EXPECT_EQ(pace.ahead(4), 0U);
  Pace off(0ms);
  off.note_run(1us);
  EXPECT_EQ(off.ahead(4), 0U);
}

TEST(Pace, NoneForProgramsWhoseOrderPeopleSee) {
  Pace pace(100ms);
  pace.note_run(Pace::longest_run);
  EXPECT_GT(pace.ahead(4), 0U);
  pace.note_run(Pace::longest_run + 1ms);
  EXPECT_EQ(pace.ahead(4), 0U);
}

TEST(Pace, MoreWhereEndsWaitForCompany) {
  Pace pace(1ms, 3ms);
  pace.note_run(2ms);
  EXPECT_EQ(pace.ahead(4), 16U);
  EXPECT_EQ(pace.stalled_after(), 25ms);
  pace.note_commit(20ms);
  EXPECT_EQ(pace.stalled_after(), 52ms);
  pace.forget();
  EXPECT_EQ(pace.ahead(4), 0U);
}

class AheadTest : public SchedulerTest {
 protected:
  AheadTest() {
    Config config = slots(1);
    config.turnaround = 1ms;
    make(config);
    // One program that was over at once: from now on starts go ahead.
    const JobId quick = submit(program(0), 1, Lane::program);
    started(quick);
    ended(quick, exited(0));
    durable();
  }
  static std::shared_ptr<JobSpec> program(std::int32_t priority) {
    auto made = spec();
    made->priority = priority;
    return made;
  }
};

TEST_F(AheadTest, IsCalledBackWhereNothingBegins) {
  const JobId first = submit(program(0), 2, Lane::program);
  ASSERT_EQ(effects<Start>().size(), 2U);
  started(first);
  timer();  // 100 ms later: what was measured had run for a moment
  ASSERT_EQ(effects<Recall>().size(), 1U);
  EXPECT_EQ(effects<Recall>().front().id, first + 1);
  scheduler_->on_returned(first + 1, 1, now_, out_);
  scheduler_->check();
  ended(first, exited(0));
  EXPECT_EQ(effects<Start>().size(), 1U);
}

TEST_F(AheadTest, WhatNoSlotWaitsForMayWaitForCompany) {
  const JobId first = submit(program(0), 2, Lane::program);
  EXPECT_FALSE(effects<Persist>().back().patient) << "slots wait for a start";
  started(first);
  ended(first, exited(0));
  EXPECT_TRUE(effects<Persist>().back().patient) << "the one that was ahead has the slot";
  started(first + 1);
  ended(first + 1, exited(0));
  EXPECT_FALSE(effects<Persist>().back().patient) << "nobody is ahead: the slot is idle";
}

TEST_F(AheadTest, IsQueuedForEverybodyOutsideUntilItBegins) {
  const JobId first = submit(program(0), 2, Lane::program);
  EXPECT_EQ(effects<Start>().size(), 2U);
  started(first);
  EXPECT_EQ(state_of(first), State::running);
  EXPECT_EQ(state_of(first + 1), State::queued);
  EXPECT_EQ(scheduler_->counts().running[0], 1U);
  EXPECT_EQ(scheduler_->counts().queued[0], 1U);
  EXPECT_EQ(scheduler_->why(*scheduler_->find(first + 1)).at(0).kind, Reason::Kind::slots);
  EXPECT_EQ(cancel(first + 1).cancelled, std::vector<JobId>{first + 1});
  EXPECT_EQ(cancel(first + 1).already_finished, std::vector<JobId>{first + 1}) << "it comes back by and by";
  scheduler_->on_returned(first + 1, 1, now_, out_);
  scheduler_->check();
  EXPECT_EQ(published(EventKind::finished).at(0).finished->attempt, 0U) << "it never ran";
}

TEST_F(AheadTest, WhoGoesBeforeItCallsItBack) {
  const JobId first = submit(program(0), 2, Lane::program);
  started(first);
  const JobId urgent = submit(program(1'000), 1, Lane::program);
  ASSERT_EQ(effects<Recall>().size(), 1U);
  EXPECT_EQ(effects<Recall>()[0].id, first + 1);
  out_.clear();
  scheduler_->on_returned(first + 1, 1, now_, out_);
  scheduler_->check();
  EXPECT_EQ(state_of(first + 1), State::queued);
  ended(first, exited(0));
  started(urgent);
  EXPECT_EQ(state_of(urgent), State::running);
}

TEST_F(AheadTest, ADrainThatStopsStartsCallsItBack) {
  const JobId first = submit(program(0), 2, Lane::program);
  started(first);
  out_.clear();
  scheduler_->on_drain(DrainScope::running, now_, out_);
  scheduler_->check();
  ASSERT_EQ(effects<Recall>().size(), 1U);
  EXPECT_EQ(effects<Recall>()[0].id, first + 1);
  out_.clear();
  scheduler_->on_returned(first + 1, 1, now_, out_);
  scheduler_->check();
  EXPECT_TRUE(effects<Start>().empty());
  scheduler_->on_undrain(now_, out_);
  EXPECT_EQ(effects<Start>().at(0).id, first + 1);
}

TEST_F(AheadTest, WhatNeverBeganStartsAgainUnderTheSameNumber) {
  const JobId id = submit(program(0), 1, Lane::program);
  scheduler_->on_returned(id, 1, now_, out_);
  scheduler_->check();
  EXPECT_EQ(effects<Start>().back().attempt, 1U);
}

}  // namespace
}  // namespace stint::core
