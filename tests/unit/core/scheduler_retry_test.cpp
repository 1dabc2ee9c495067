// Jobs that wait for a time: retries, delays, expiry.
#include "daemon/core/retry_rule.hpp"
#include "daemon/core/timetable.hpp"
#include "tests/unit/core/scheduler_fixture.hpp"

namespace stint::core {
namespace {

using namespace std::chrono_literals;

EndReport lost() {
  EndReport report;
  report.ending = EndReport::Lost{"the worker died"};
  return report;
}

class RetryTest : public SchedulerTest {
 protected:
  static std::shared_ptr<JobSpec> again(std::uint32_t max, Duration delay = 2s) {
    auto made = spec();
    made->retry.max = max;
    made->retry.delay = delay;
    return made;
  }
  void at(Time time) {
    out_.clear();
    now_ = time;
    scheduler_->on_timer(now_, out_);
    scheduler_->check();
  }
  Reason why(JobId id) { return scheduler_->why(*scheduler_->find(id)).at(0); }
};

TEST_F(RetryTest, AFailedAttemptIsRecordedAndTheJobWaitsForTheNext) {
  const JobId id = submit(again(2));
  started(id);
  ended(id, exited(3));
  EXPECT_EQ(facts(), "retry");
  ASSERT_EQ(published(EventKind::retrying).size(), 1U);
  const Publish news = published(EventKind::retrying)[0];
  EXPECT_EQ(news.after, scheduler_->newest_persist());
  EXPECT_EQ(news.attempt, 1U);
  EXPECT_EQ(news.ended->outcome, Outcome::failed);
  EXPECT_EQ(news.ended->again_at, now_ + 2s);
  EXPECT_EQ(news.ended->end, exited(3));
  EXPECT_TRUE(published(EventKind::finished).empty());
  ASSERT_EQ(effects<ArmTimer>().size(), 1U);
  EXPECT_EQ(effects<ArmTimer>()[0].at, now_ + 2s);
  EXPECT_EQ(state_of(id), State::waiting);
  EXPECT_EQ(why(id).kind, Reason::Kind::retry);
  EXPECT_EQ(why(id).until, now_ + 2s);
  EXPECT_EQ(scheduler_->counts().waiting, 1U);
  EXPECT_EQ(scheduler_->counts().running[static_cast<std::size_t>(Lane::coroutine)], 0U) << "its slot is free";

  at(now_ + 2s);
  ASSERT_EQ(effects<Start>().size(), 1U);
  EXPECT_EQ(effects<Start>()[0].attempt, 2U);
  ended(id, exited(3));
  EXPECT_EQ(published(EventKind::retrying)[0].ended->again_at, now_ + 4s) << "twice as long";
  at(now_ + 4s);
  ended(id, exited(3));
  EXPECT_EQ(facts(), "finish") << "the last attempt finishes the job";
  EXPECT_EQ(published(EventKind::finished)[0].finished->attempt, 3U);
}

TEST_F(RetryTest, ASuccessOrACancelIsNotFollowedByAnother) {
  const JobId first = submit(again(5));
  ended(first, exited(0));
  EXPECT_EQ(facts(), "finish");
  const JobId second = submit(again(5));
  cancel(second);
  ended(second, exited(1));
  EXPECT_EQ(published(EventKind::finished)[0].finished->outcome, Outcome::cancelled);
}

TEST_F(RetryTest, ACancelEndsTheWait) {
  const JobId id = submit(again(1));
  ended(id, exited(1));
  EXPECT_EQ(cancel(id).cancelled, (std::vector{id}));
  EXPECT_EQ(facts(), "cancel finish");
  const auto finished = published(EventKind::finished).at(0).finished;
  EXPECT_EQ(finished->outcome, Outcome::cancelled);
  EXPECT_EQ(finished->attempt, 1U);
  at(now_ + 2s);
  EXPECT_TRUE(effects<Start>().empty());
}

TEST_F(RetryTest, LostRunsAgainOnlyWhereThatIsAskedFor) {
  const JobId plain = submit(again(1));
  ended(plain, lost());
  EXPECT_EQ(published(EventKind::finished).at(0).finished->outcome, Outcome::lost);
  auto asked = again(1);
  asked->retry.on = {RetryCause::lost};
  const JobId id = submit(asked);
  ended(id, lost());
  EXPECT_EQ(state_of(id), State::waiting);
  at(now_ + 2s);
  ended(id, lost());
  EXPECT_EQ(published(EventKind::finished).at(0).finished->attempt, 2U);
}

TEST_F(RetryTest, WithoutADelayItStandsInLineWithTheTimer) {
  const JobId id = submit(again(1, 0s));
  ended(id, exited(1));
  at(now_);
  ASSERT_EQ(effects<Start>().size(), 1U);
  EXPECT_EQ(effects<Start>()[0].id, id);
}

TEST_F(RetryTest, ADelayedJobWaitsAndThenHasThePlaceOfItsAge) {
  auto delayed = spec();
  delayed->delay = 10s;
  const JobId first = submit(delayed);
  const Time due = now_ + 10s;
  EXPECT_EQ(facts(), "submit");
  EXPECT_EQ(state_of(first), State::waiting);
  EXPECT_EQ(why(first).kind, Reason::Kind::time);
  EXPECT_EQ(effects<ArmTimer>().at(0).at, due);
  const JobId running = submit(spec());
  const JobId younger = submit(spec());
  at(due - 1s);
  EXPECT_EQ(state_of(first), State::waiting);
  EXPECT_EQ(effects<ArmTimer>().at(0).at, due) << "called early, it asks again";
  at(due);
  EXPECT_EQ(state_of(first), State::queued);
  ended(running, exited(0));
  EXPECT_EQ(effects<Start>().at(0).id, first);
  EXPECT_EQ(state_of(younger), State::queued);
}

TEST_F(RetryTest, AtAPastTimeIsNow) {
  auto past = spec();
  past->at = Time{};
  submit(past);
  EXPECT_EQ(effects<Start>().size(), 1U);
}

TEST_F(RetryTest, WhatHasNotStartedInTimeExpires) {
  auto hurried = spec();
  hurried->expires = 5s;
  const JobId running = submit(hurried);
  const JobId queued = submit(hurried);
  auto delayed = spec();
  delayed->delay = 60s;
  delayed->expires = 5s;
  const JobId waiting = submit(delayed);
  at(now_ + 5s);
  EXPECT_EQ(state_of(running), State::running);
  const auto finished = published(EventKind::finished);
  ASSERT_EQ(finished.size(), 2U);
  for (const auto& each : finished) EXPECT_EQ(each.finished->outcome, Outcome::expired);
  EXPECT_EQ(finished[0].id, queued);
  EXPECT_EQ(finished[1].id, waiting);
}

TEST_F(RetryTest, AnAttemptThatNeverBeganCanStillExpire) {
  auto hurried = spec();
  hurried->expires = 5s;
  const JobId id = submit(hurried, 1, Lane::program);
  out_.clear();
  scheduler_->on_slots(Lane::program, 0, now_, out_);
  scheduler_->on_returned(id, 1, now_, out_);
  scheduler_->check();
  at(now_ + 5s);
  EXPECT_EQ(published(EventKind::finished).at(0).finished->outcome, Outcome::expired);
}

TEST_F(RetryTest, ADrainDoesNotWaitForATime) {
  const JobId id = submit(again(1));
  ended(id, exited(1));
  out_.clear();
  scheduler_->on_drain(DrainScope::queued, now_, out_);
  scheduler_->check();
  EXPECT_EQ(drain_pending(scheduler_->counts(), DrainScope::queued), 0U);
  EXPECT_TRUE(scheduler_->idle());
}

TEST(RetryRule, DelaysGrowUpToTheLongest) {
  Retry retry;
  retry.max = 1'000;
  retry.delay = 1s;
  retry.factor = 3;
  retry.max_delay = 10s;
  EXPECT_EQ(retry_delay(retry, 1, 1), 1s);
  EXPECT_EQ(retry_delay(retry, 1, 2), 3s);
  EXPECT_EQ(retry_delay(retry, 1, 3), 9s);
  EXPECT_EQ(retry_delay(retry, 1, 4), 10s);
  retry.factor = limits::retry_factor_max;
  EXPECT_EQ(retry_delay(retry, 1, 1'000), 10s) << "no overflow";
  retry.max_delay.reset();
  EXPECT_EQ(retry_delay(retry, 1, 1'000), 1h);
  retry.delay = 2h;
  EXPECT_EQ(retry_delay(retry, 1, 2), 2h);
}

TEST(RetryRule, JitterSpreadsAndStaysTheSame) {
  Retry retry;
  retry.delay = 100s;
  retry.jitter = 0.5;
  double sum = 0;
  for (JobId id = 1; id <= 1'000; ++id) {
    const Duration delay = retry_delay(retry, id, 1);
    EXPECT_EQ(delay, retry_delay(retry, id, 1));
    EXPECT_LE(delay, 100s);
    EXPECT_GE(delay, 50s);
    sum += to_seconds(delay);
  }
  EXPECT_NEAR(sum / 1'000, 75, 2);
}

TEST(Timetable, TellsOnlyOfWhatComesSooner) {
  Timetable table;
  const Time noon{1h};
  EXPECT_EQ(table.set(Alarm::wake, noon, 1), noon);
  EXPECT_EQ(table.set(Alarm::expire, noon + 1s, 2), std::nullopt);
  EXPECT_EQ(table.set(Alarm::expire, noon - 1s, 3), noon - 1s);
  EXPECT_FALSE(table.take_due(noon - 2s));
  table.rang();
  EXPECT_EQ(table.take_due(noon)->number, 1U) << "of the same time wakes go first";
  EXPECT_EQ(table.take_due(noon)->number, 3U);
  EXPECT_FALSE(table.take_due(noon));
  EXPECT_EQ(table.next(), noon + 1s);
  EXPECT_EQ(table.next(), std::nullopt) << "it was told";
  table.clear(Alarm::expire, noon + 1s, 2);
  table.rang();
  EXPECT_EQ(table.next(), std::nullopt);
}

}  // namespace
}  // namespace stint::core
