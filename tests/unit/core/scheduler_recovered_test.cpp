// A daemon that starts again: what comes back, and numbers that are never given away twice.
#include "daemon/core/reservation.hpp"
#include "tests/unit/core/scheduler_fixture.hpp"

namespace stint::core {
namespace {

class RecoveredTest : public SchedulerTest {
 protected:
  StoredJob stored(JobId id, Lane lane, Attempt attempt = 0, bool cancelled = false) {
    StoredJob job;
    job.id = id;
    job.spec = spec();
    job.user = user_;
    job.submitted_at = Time(std::chrono::seconds(id));
    job.lane = lane;
    job.executor = lane == Lane::coroutine ? ExecutorKind::coroutine : ExecutorKind::process;
    job.attempt = attempt;
    job.cancelled = cancelled;
    return job;
  }
  void recover(std::vector<StoredJob> jobs) {
    Config config = slots(2);
    config.first_id = 100;
    config.first_seq = 50;
    make(config);
    out_.clear();
    scheduler_->on_recovered(std::move(jobs), {}, now_, out_);
    scheduler_->check();
  }
};

TEST_F(RecoveredTest, WhatHadNotStartedStartsInTheOldOrder) {
  recover({stored(1, Lane::program), stored(2, Lane::program), stored(3, Lane::program)});
  EXPECT_EQ(facts(), "start start");
  ASSERT_EQ(effects<Start>().size(), 2U);
  EXPECT_EQ(effects<Start>()[0].id, 1U);
  EXPECT_EQ(effects<Start>()[1].attempt, 1U);
  EXPECT_EQ(state_of(3), State::queued);
  EXPECT_TRUE(effects<Publish>().empty());
  EXPECT_EQ(submit(spec()), 100U);
}

TEST_F(RecoveredTest, AProgramThatHadStartedHoldsItsSlotUntilItsRunnerHasSpoken) {
  recover({stored(1, Lane::program, 1), stored(2, Lane::program, 3), stored(3, Lane::program)});
  EXPECT_TRUE(effects<Start>().empty());
  EXPECT_EQ(state_of(1), State::running);
  started(1);  // it lives
  out_.clear();
  scheduler_->on_returned(2, 3, now_, out_);  // it never began
  scheduler_->check();
  ASSERT_EQ(effects<Start>().size(), 1U);
  EXPECT_EQ(effects<Start>()[0].id, 2U);
  EXPECT_EQ(effects<Start>()[0].attempt, 3U);
  ended(1, exited(7));
  EXPECT_EQ(published(EventKind::finished)[0].finished->seq, 50U);
  EXPECT_EQ(effects<Start>()[0].id, 3U);
}

TEST_F(RecoveredTest, ATaskThatHadStartedIsLost) {
  recover({stored(1, Lane::coroutine, 1)});
  ASSERT_EQ(published(EventKind::finished).size(), 1U);
  EXPECT_EQ(published(EventKind::finished)[0].finished->outcome, Outcome::lost);
  EXPECT_EQ(facts(), "finish");
}

TEST_F(RecoveredTest, ACancelIsGoneOnWith) {
  recover({stored(1, Lane::program, 1, true), stored(2, Lane::program, 0, true)});
  ASSERT_EQ(effects<Stop>().size(), 1U);
  EXPECT_EQ(effects<Stop>()[0].id, 1U);
  ASSERT_EQ(published(EventKind::finished).size(), 1U);
  EXPECT_EQ(published(EventKind::finished)[0].id, 2U);
  ended(1, exited(0));
  EXPECT_EQ(published(EventKind::finished)[0].finished->outcome, Outcome::cancelled);
}

TEST_F(RecoveredTest, AWaitGoesOn) {
  StoredJob delayed = stored(1, Lane::program);
  delayed.waits_until = now_ + std::chrono::seconds(5);
  StoredJob retried = stored(2, Lane::program, 2);
  retried.waits_until = now_ + std::chrono::seconds(6);
  StoredJob over = stored(3, Lane::program, 1);
  over.waits_until = now_ - std::chrono::seconds(1);
  recover({delayed, retried, over});
  ASSERT_EQ(effects<Start>().size(), 1U) << "its time has come while no daemon was there";
  EXPECT_EQ(effects<Start>()[0].id, 3U);
  EXPECT_EQ(effects<Start>()[0].attempt, 2U);
  EXPECT_EQ(state_of(1), State::waiting);
  EXPECT_EQ(state_of(2), State::waiting);
  EXPECT_EQ(effects<ArmTimer>().at(0).at, now_ + std::chrono::seconds(5));
  out_.clear();
  scheduler_->on_timer(now_ + std::chrono::seconds(6), out_);
  scheduler_->check();
  EXPECT_EQ(effects<Start>().at(0).id, 1U);
  EXPECT_EQ(scheduler_->find(2)->attempt, 2U);
}

TEST_F(RecoveredTest, ALostTaskRunsAgainWhereThatIsAskedFor) {
  StoredJob job = stored(1, Lane::coroutine, 1);
  auto asking = spec();
  asking->retry.max = 1;
  asking->retry.on = {RetryCause::lost};
  job.spec = asking;
  recover({job, stored(2, Lane::coroutine, 1)});
  EXPECT_EQ(facts(), "retry finish");
  EXPECT_EQ(state_of(1), State::waiting);
  EXPECT_EQ(published(EventKind::finished).at(0).id, 2U);
}

TEST_F(RecoveredTest, WhatIsLateExpiresAndACancelIsGoneOnWithInAWait) {
  StoredJob late = stored(1, Lane::program);
  late.waits_until = now_ + std::chrono::hours(1);
  late.expires_at = now_ - std::chrono::seconds(1);
  StoredJob cancelled = stored(2, Lane::program, 1, true);
  cancelled.waits_until = now_ + std::chrono::hours(1);
  recover({late, cancelled});
  EXPECT_EQ(published(EventKind::finished).at(0).finished->outcome, Outcome::cancelled);
  EXPECT_EQ(effects<ArmTimer>().back().at, now_ - std::chrono::seconds(1));
  timer();
  EXPECT_EQ(published(EventKind::finished).at(0).finished->outcome, Outcome::expired);
}

TEST_F(RecoveredTest, TheFirstNumbersOfNonDurableJobsWaitForTheirReservation) {
  const JobId first = submit(transient());
  EXPECT_EQ(facts(), "reserve");
  EXPECT_EQ(scheduler_->accepted_after(), scheduler_->newest_persist());
  EXPECT_EQ(effects<Start>().at(0).after, scheduler_->newest_persist()) << "a crash might give its id to another job";
  durable();
  EXPECT_EQ(submit(transient()), first + 1);
  EXPECT_EQ(scheduler_->accepted_after(), 0U);
}

TEST_F(RecoveredTest, ABlockIsExtendedWhenHalfOfItIsUsedAndWaitedForPastItsEnd) {
  reserve();
  submit(transient(), Reservation::block / 2 - 10);
  EXPECT_EQ(facts(), "");
  submit(transient(), 20);  // past the half
  EXPECT_EQ(facts(), "reserve");
  EXPECT_EQ(scheduler_->accepted_after(), 0U);
  submit(transient(), 2 * Reservation::block);  // past all that is durable
  EXPECT_EQ(facts(), "reserve");
  EXPECT_EQ(scheduler_->accepted_after(), scheduler_->newest_persist());
}

}  // namespace
}  // namespace stint::core
