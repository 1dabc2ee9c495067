// What the store refuses is undone exactly: nothing of it is left, and nothing else is touched.
#include "tests/unit/core/scheduler_fixture.hpp"

namespace stint::core {
namespace {

class RefusedTest : public SchedulerTest {};

TEST_F(RefusedTest, ARefusedSubmitLeavesNoTrace) {
  auto member = spec();
  member->group = "g";
  const JobId id = submit(member, 2);
  const auto armed_at = now_ + std::chrono::milliseconds(100);
  refused(scheduler_->newest_persist());
  EXPECT_EQ(scheduler_->find(id), nullptr);
  EXPECT_EQ(scheduler_->find(id + 1), nullptr);
  EXPECT_EQ(scheduler_->unfinished_in_group("g"), 0U);
  EXPECT_TRUE(scheduler_->idle());
  EXPECT_EQ(scheduler_->counts().submitted, 0U);
  EXPECT_TRUE(scheduler_->was_refused(id));
  ASSERT_EQ(effects<ArmTimer>().size(), 1U);
  EXPECT_EQ(effects<ArmTimer>()[0].at, armed_at);
  EXPECT_TRUE(facts().empty());
  EXPECT_GT(submit(member), id + 1) << "ids are not given twice";
}

TEST_F(RefusedTest, ARefusedStartStandsInLineAgainAndIsTriedAfterTheTimer) {
  const JobId first = submit(spec());
  const JobId second = submit(spec());
  durable();
  ended(first, exited(0));
  EXPECT_EQ(facts(), "finish start");
  const PersistNumber mixed = scheduler_->newest_persist();
  refused(mixed);
  EXPECT_EQ(state_of(second), State::queued);
  EXPECT_EQ(scheduler_->find(second)->attempt, 0U);
  EXPECT_EQ(state_of(first), State::finished) << "a finish is a fact and stays";
  EXPECT_TRUE(effects<Start>().empty());
  scheduler_->on_durable(mixed);
  EXPECT_EQ(scheduler_->find(first), nullptr);

  const JobId third = submit(spec());
  EXPECT_TRUE(effects<Start>().empty()) << "the store has no room: no start before the timer";
  timer();
  ASSERT_EQ(effects<Start>().size(), 1U);
  EXPECT_EQ(effects<Start>()[0].id, second);
  EXPECT_EQ(effects<Start>()[0].attempt, 1U);
  EXPECT_EQ(facts(), "start");
  EXPECT_EQ(state_of(third), State::queued);
}

TEST_F(RefusedTest, ARefusedSemaphoreNeverWas) {
  const auto set = [this](std::uint64_t permits) {
    out_.clear();
    const Changed changed = scheduler_->on_semaphore("s", permits, now_, out_);
    scheduler_->check();
    return changed;
  };
  const auto size = [this] { return scheduler_->admission().size_of("s"); };
  EXPECT_TRUE(set(2).is_new_work);
  refused(scheduler_->newest_persist());
  EXPECT_TRUE(scheduler_->admission().names(PermitKind::semaphore).empty());

  const Changed first = set(2);
  EXPECT_TRUE(set(3).is_new_work) << "else it would be made without having been asked for";
  refused(first.after);
  EXPECT_EQ(size(), 3U) << "a later one stands";
  durable();
  EXPECT_FALSE(set(4).is_new_work) << "it is there: that needs no room";
  EXPECT_FALSE(set(0).is_new_work) << "this frees some";

  const Changed kept = set(2);
  const Changed more = set(5);
  scheduler_->on_durable(kept.after);
  refused(more.after);
  EXPECT_EQ(size(), 2U) << "as it is on disk";

  set(0);
  const Changed gone = set(1);
  set(0);
  refused(gone.after);
  EXPECT_EQ(size(), 0U);
}

TEST_F(RefusedTest, NonDurableWorkGoesOnMeanwhile) {
  reserve();
  const JobId durable_job = submit(spec());
  const JobId other = submit(transient());
  EXPECT_TRUE(effects<Start>().empty());
  refused(scheduler_->newest_persist());
  ASSERT_EQ(effects<Start>().size(), 1U);
  EXPECT_EQ(effects<Start>()[0].id, other);
  EXPECT_EQ(scheduler_->find(durable_job), nullptr);
}

TEST_F(RefusedTest, ASubmitWhoseJobsWereCancelledVanishesToo) {
  const JobId id = submit(spec(), 2);
  const PersistNumber number = scheduler_->newest_persist();
  cancel(id + 1);
  EXPECT_EQ(published(EventKind::finished).size(), 1U);
  cancel(id);
  refused(number);
  EXPECT_EQ(scheduler_->find(id), nullptr);
  EXPECT_EQ(scheduler_->find(id + 1), nullptr);
  EXPECT_TRUE(scheduler_->was_refused(id + 1)) << "the held Publish is to be dropped";
  EXPECT_EQ(scheduler_->counts().outcomes[static_cast<std::size_t>(Outcome::cancelled)], 0U);
  durable();
  timer();
  EXPECT_TRUE(out_.empty());
}

TEST_F(RefusedTest, AStartThatWasCancelledMeanwhileEndsWithTheTimer) {
  const JobId first = submit(spec());
  const JobId second = submit(spec());
  durable();
  ended(first, exited(0));
  const PersistNumber number = scheduler_->newest_persist();
  EXPECT_EQ(cancel(second).stopping, (std::vector{second}));
  refused(number);
  EXPECT_TRUE(facts().empty());
  EXPECT_EQ(scheduler_->counts().stopping, 0U);
  timer();
  EXPECT_EQ(facts(), "finish");
  EXPECT_TRUE(effects<Start>().empty());
  const auto finished = published(EventKind::finished).at(0).finished;
  EXPECT_EQ(finished->outcome, Outcome::cancelled);
  EXPECT_EQ(finished->attempt, 0U);
}

TEST_F(RefusedTest, ASubmitIsRefusedAfterItsStartWasEmittedInALaterPersist) {
  const JobId first = submit(spec());
  const JobId second = submit(spec());
  const PersistNumber submit_number = scheduler_->newest_persist();
  ended(first, exited(0));  // its slot goes to the second, whose submit is not decided
  EXPECT_EQ(effects<Start>().at(0).id, second);
  const JobId third = submit(transient());
  refused(submit_number);
  EXPECT_EQ(scheduler_->find(second), nullptr);
  EXPECT_TRUE(scheduler_->was_refused(second)) << "the held Start is to be dropped";
  EXPECT_EQ(effects<Start>().at(0).id, third) << "its slot is free again";
}

TEST_F(RefusedTest, WhatIsNotInThePersistIsNotTouched) {
  const JobId first = submit(spec());
  const PersistNumber number = scheduler_->newest_persist();
  const JobId second = submit(spec());
  refused(scheduler_->newest_persist());
  EXPECT_EQ(scheduler_->find(second), nullptr);
  EXPECT_EQ(state_of(first), State::running);
  scheduler_->on_durable(number);
  started(first);
  ended(first, exited(0));
  EXPECT_EQ(facts(), "finish");
}

}  // namespace
}  // namespace stint::core
