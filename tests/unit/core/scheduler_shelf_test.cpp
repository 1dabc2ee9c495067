// Deep backlogs: what stands far behind has its specification in the store only.
#include "daemon/core/window.hpp"
#include "tests/unit/core/scheduler_fixture.hpp"

namespace stint::core {
namespace {

class ShelfTest : public SchedulerTest {
 protected:
  ShelfTest() {
    Config config = slots(1);
    config.loaded_jobs = 4;
    make(config);
    running_ = submit(spec());
    durable();
  }
  [[nodiscard]] bool is_shelved(JobId id) const { return !scheduler_->find(id)->spec; }
  /// Answers the Load of the last event.
  void loaded() {
    const auto loads = effects<Load>();
    ASSERT_EQ(loads.size(), 1U);
    std::vector<LoadedSpec> specs;
    for (const JobId id : loads[0].ids) specs.push_back({id, spec(), nullptr});
    out_.clear();
    scheduler_->on_loaded(std::move(specs), now_, out_);
    scheduler_->check();
  }
  JobId running_ = 0;
};

TEST_F(ShelfTest, WhatStandsBehindTheWindowIsShelvedOnceItIsDurable) {
  const JobId first = submit(spec(), 10);
  EXPECT_FALSE(is_shelved(first + 9)) << "nobody could read it yet";
  durable();
  for (JobId id = first; id < first + 4; ++id) EXPECT_FALSE(is_shelved(id)) << id;
  for (JobId id = first + 4; id < first + 10; ++id) EXPECT_TRUE(is_shelved(id)) << id;
}

TEST_F(ShelfTest, TheFrontIsLoadedBeforeItIsEmpty) {
  const JobId first = submit(spec(), 10);
  durable();
  ended(running_, exited(0));
  ended(first, exited(0));
  EXPECT_TRUE(effects<Load>().empty());
  ended(first + 1, exited(0));  // one that runs, and one that is left
  ASSERT_EQ(effects<Load>().size(), 1U);
  EXPECT_EQ(effects<Load>()[0].ids, (std::vector<JobId>{first + 4, first + 5, first + 6}));
  loaded();
  EXPECT_FALSE(is_shelved(first + 6));
  EXPECT_TRUE(is_shelved(first + 7));
}

TEST_F(ShelfTest, AShelvedFrontIsWaitedForAndWhatIsNotDurableGoesOn) {
  const JobId first = submit(spec(), 6);
  const JobId other = submit(transient());
  durable();
  // All that are loaded are cancelled: the line begins with one that is not.
  for (JobId id = first; id < first + 3; ++id) cancel(id);
  cancel(first + 3);
  ended(running_, exited(0));
  ASSERT_EQ(effects<Start>().size(), 1U);
  EXPECT_EQ(effects<Start>()[0].id, other);
}

TEST_F(ShelfTest, ACancelOfAShelvedJobIsRecordedAtOnceAndEndsItWhenItsSpecificationHasCome) {
  const JobId first = submit(spec(), 10);
  durable();
  EXPECT_EQ(cancel(first + 9).cancelled, (std::vector{first + 9}));
  EXPECT_EQ(facts(), "cancel");
  EXPECT_EQ(scheduler_->state_of(*scheduler_->find(first + 9)), State::queued);
  ASSERT_EQ(effects<Load>().size(), 1U);
  const auto load = effects<Load>()[0];
  EXPECT_EQ(load.ids, (std::vector{first + 9}));
  EXPECT_EQ(cancel(first + 9).cancelled, (std::vector{first + 9})) << "again changes nothing";
  EXPECT_TRUE(out_.empty());
  out_.emplace_back(load);
  loaded();
  EXPECT_EQ(facts(), "finish");
  EXPECT_EQ(published(EventKind::finished).at(0).finished->outcome, Outcome::cancelled);
}

TEST_F(ShelfTest, ACancelledBacklogIsReadInParts) {
  const JobId first = submit(spec(), 3'000);
  durable();
  std::vector<JobId> ids(3'000);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = first + i;
  out_.clear();
  scheduler_->on_cancel(ids, false, now_, out_);
  scheduler_->check();
  std::size_t finished = published(EventKind::finished).size();
  for (int parts = 0; !effects<Load>().empty(); ++parts) {
    ASSERT_LE(effects<Load>()[0].ids.size(), 1'024U);
    ASSERT_LT(parts, 10);
    loaded();
    finished += published(EventKind::finished).size();
  }
  EXPECT_EQ(finished, 3'000U);
}

TEST_F(ShelfTest, WhoGoesFirstIsKeptLoadedAndPushesOthersOut) {
  const JobId first = submit(spec(), 4);
  durable();
  auto urgent = spec();
  urgent->priority = 10;
  const JobId before = submit(urgent, 6);
  durable();
  for (JobId id = before; id < before + 6; ++id) EXPECT_FALSE(is_shelved(id));
  EXPECT_FALSE(is_shelved(first + 1));
  EXPECT_TRUE(is_shelved(first + 2)) << "twice the window, and no more";
  EXPECT_TRUE(is_shelved(first + 3));
}

TEST_F(ShelfTest, ARecoveredBacklogComesWithoutSpecifications) {
  Config config = slots(2);
  config.loaded_jobs = 4;
  config.first_id = 100;
  make(config);
  std::vector<StoredJob> jobs;
  for (JobId id = 1; id <= 20; ++id) {
    StoredJob job;
    job.id = id;
    job.user = user_;
    job.submitted_at = Time(std::chrono::seconds(id));
    job.lane = Lane::coroutine;
    job.group = "g";
    jobs.push_back(job);
  }
  jobs[19].cancelled = true;
  out_.clear();
  scheduler_->on_recovered(std::move(jobs), {}, now_, out_);
  scheduler_->check();
  EXPECT_EQ(scheduler_->unfinished_in_group("g"), 20U);
  EXPECT_TRUE(effects<Start>().empty());
  ASSERT_EQ(effects<Load>().size(), 1U);
  const auto ids = effects<Load>()[0].ids;
  std::vector<LoadedSpec> specs;
  auto member = spec();
  member->group = "g";
  for (const JobId id : ids) specs.push_back({id, member, nullptr});
  out_.clear();
  scheduler_->on_loaded(std::move(specs), now_, out_);
  scheduler_->check();
  ASSERT_EQ(effects<Start>().size(), 2U);
  EXPECT_EQ(effects<Start>()[0].id, 1U);
}

}  // namespace
}  // namespace stint::core
