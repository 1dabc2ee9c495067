// Draining: what is here runs, nothing new is taken, daemon jobs do not keep it from ending.
#include "common/error.hpp"
#include "tests/unit/core/scheduler_fixture.hpp"

namespace stint::core {
namespace {

class DrainTest : public SchedulerTest {
 protected:
  static std::shared_ptr<JobSpec> background() {
    auto made = spec();
    made->daemon = true;
    return made;
  }
  void drain() {
    out_.clear();
    scheduler_->on_drain(DrainScope::queued, now_, out_);
    scheduler_->check();
  }
};

TEST_F(DrainTest, TakesNoNewWorkAndRunsWhatIsHere) {
  const JobId first = submit(spec(), 2);
  drain();
  EXPECT_TRUE(scheduler_->draining());
  EXPECT_TRUE(out_.empty());
  try {
    submit(spec());
    FAIL() << "a draining scheduler took work";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::draining);
  }
  ended(first, exited(0));
  EXPECT_EQ(effects<Start>().at(0).id, first + 1);
  EXPECT_FALSE(scheduler_->idle());
  ended(first + 1, exited(0));
  EXPECT_TRUE(scheduler_->idle());
  scheduler_->on_undrain(now_, out_);
  submit(spec());
}

TEST_F(DrainTest, DaemonJobsAreStoppedWhenOnlyTheyAreLeft) {
  make(slots(2));
  const JobId reader = submit(background());
  const JobId writer = submit(spec());
  const JobId waiting = submit(background());
  durable();
  drain();
  EXPECT_TRUE(out_.empty()) << "the writer runs";
  ended(writer, exited(0));
  EXPECT_EQ(facts(), "finish cancel cancel finish");
  ASSERT_EQ(effects<Stop>().size(), 1U);
  EXPECT_EQ(effects<Stop>()[0].id, reader);
  EXPECT_EQ(state_of(waiting), State::finished) << "it never ran";
  EXPECT_TRUE(effects<Start>().empty());
  ended(reader, exited(0));
  EXPECT_EQ(published(EventKind::finished).at(0).finished->outcome, Outcome::cancelled);
  EXPECT_TRUE(scheduler_->idle());
}

TEST_F(DrainTest, WithOnlyDaemonJobsItStopsThemAtOnce) {
  const JobId reader = submit(background());
  drain();
  ASSERT_EQ(effects<Stop>().size(), 1U);
  EXPECT_EQ(effects<Stop>()[0].id, reader);
  drain();
  EXPECT_TRUE(out_.empty());
}

TEST_F(DrainTest, WithoutADrainDaemonJobsGoOn) {
  make(slots(2));
  submit(background());
  const JobId writer = submit(spec());
  ended(writer, exited(0));
  EXPECT_TRUE(effects<Stop>().empty());
  EXPECT_FALSE(scheduler_->idle());
}

TEST_F(DrainTest, CancellingTheLastForegroundJobEndsTheDaemonJobs) {
  make(slots(1));
  const JobId reader = submit(background());
  const JobId queued = submit(spec());
  drain();
  cancel(queued);
  ASSERT_EQ(effects<Stop>().size(), 1U);
  EXPECT_EQ(effects<Stop>()[0].id, reader);
}

TEST_F(DrainTest, ARefusedSubmitInADrainStopsThemWithTheTimer) {
  make(slots(2));
  const JobId reader = submit(background());
  durable();
  submit(spec());
  drain();
  refused(scheduler_->newest_persist());
  EXPECT_TRUE(effects<Stop>().empty());
  timer();
  ASSERT_EQ(effects<Stop>().size(), 1U);
  EXPECT_EQ(effects<Stop>()[0].id, reader);
}

TEST_F(DrainTest, ADaemonJobWhoseTimeComesLaterIsStoppedToo) {
  make(slots(2));
  const JobId reader = submit(background());
  auto later = background();
  later->delay = 10s;
  const JobId sleeper = submit(later);
  durable();
  drain();
  EXPECT_EQ(effects<Stop>().size(), 1U);
  ended(reader, exited(0));
  now_ += 10s;
  timer();
  EXPECT_TRUE(effects<Start>().empty());
  EXPECT_EQ(state_of(sleeper), State::finished);
}

TEST_F(DrainTest, WhatRunsGetsItsOwnJobs) {
  make(slots(1));
  const JobId parent = submit(spec());
  const JobId stranger = submit(spec());
  const JobId before = submit(spec(), 1, Lane::coroutine, parent);
  durable();
  out_.clear();
  scheduler_->on_drain(DrainScope::running, now_, out_);
  scheduler_->check();
  EXPECT_TRUE(effects<Start>().empty()) << "there is no slot";
  const JobId child = submit(spec(), 1, Lane::coroutine, parent);
  out_.clear();
  scheduler_->on_slots(Lane::coroutine, 2, now_, out_);
  scheduler_->check();
  ASSERT_EQ(effects<Start>().size(), 1U);
  EXPECT_EQ(effects<Start>()[0].id, before) << "not who stands before it: nobody that runs waits for that";
  ended(parent, exited(0));
  EXPECT_TRUE(effects<Start>().empty()) << "nobody waits for the other one any more";
  ended(before, exited(0));
  EXPECT_EQ(drain_pending(scheduler_->counts(), DrainScope::running), 0U);
  out_.clear();
  scheduler_->on_undrain(now_, out_);
  scheduler_->check();
  ASSERT_EQ(effects<Start>().size(), 2U);
  EXPECT_EQ(effects<Start>()[0].id, stranger);
  EXPECT_EQ(effects<Start>()[1].id, child);
}

}  // namespace
}  // namespace stint::core
