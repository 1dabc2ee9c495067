// Pools: each is a lane of its own, that comes, changes, goes and comes back after a restart.
#include "tests/unit/core/scheduler_fixture.hpp"

namespace stint::core {
namespace {

class PoolTest : public SchedulerTest {
 protected:
  static std::shared_ptr<JobSpec> message(const char* pool, bool durable = true) {
    auto made = std::make_shared<JobSpec>();
    made->pool = pool;
    made->durable = durable;
    return made;
  }
  static std::shared_ptr<const PoolSpec> pool(const char* name, std::uint32_t size) {
    auto made = std::make_shared<PoolSpec>();
    made->name = name;
    made->command = {"worker"};
    made->size = size;
    return made;
  }
  void set(std::shared_ptr<const PoolSpec> spec, bool of_configuration = false) {
    out_.clear();
    scheduler_->on_pool_set(std::move(spec), of_configuration ? nullptr : user_, now_, out_);
    scheduler_->check();
  }
  void remove(const char* name) {
    out_.clear();
    scheduler_->on_pool_remove(name, now_, out_);
    scheduler_->check();
  }
  JobId send(const char* name, std::size_t count = 1, bool durable = true) {
    return submit(message(name, durable), count, Lane::pool);
  }
};

TEST_F(PoolTest, HasSlotsOfItsOwn) {
  set(pool("a", 2));
  EXPECT_EQ(facts(), "set_pool");
  set(pool("b", 1));
  const JobId first = send("a", 3);
  EXPECT_EQ(effects<Start>().size(), 2U);
  EXPECT_EQ(effects<Start>()[0].lane, Lane::pool);
  EXPECT_EQ(state_of(first + 2), State::queued);
  ASSERT_EQ(scheduler_->why(*scheduler_->find(first + 2)).size(), 1U);
  EXPECT_EQ(scheduler_->why(*scheduler_->find(first + 2))[0].lane, Lane::pool);
  send("b");
  EXPECT_EQ(effects<Start>().size(), 1U) << "a full pool holds no other up";
  EXPECT_EQ(scheduler_->counts().slots[static_cast<std::size_t>(Lane::pool)], 3U);
  EXPECT_EQ(scheduler_->counts().running[static_cast<std::size_t>(Lane::pool)], 3U);
  const auto view = scheduler_->find_pool("a");
  ASSERT_TRUE(view);
  EXPECT_EQ(view->queued, 1U);
  EXPECT_EQ(view->running, 2U);
  ended(first, exited(0));
  EXPECT_EQ(effects<Start>().size(), 1U);
  EXPECT_EQ(scheduler_->pools().size(), 2U);
  EXPECT_FALSE(scheduler_->find_pool("c"));
}

TEST_F(PoolTest, AnotherSizeCountsAtOnce) {
  set(pool("a", 1));
  const JobId first = send("a", 3);
  started(first);
  set(pool("a", 2));
  ASSERT_EQ(effects<Start>().size(), 1U);
  started(first + 1);
  set(pool("a", 1));
  EXPECT_EQ(scheduler_->find_pool("a")->running, 2U) << "what runs goes on";
}

TEST_F(PoolTest, IsStoredOnlyWhereItLasts) {
  auto bound = std::make_shared<PoolSpec>(*pool("bound", 1));
  bound->bind = PoolBinding::connection;
  set(bound);
  EXPECT_EQ(facts(), "");
  set(pool("fixed", 1), true);
  EXPECT_EQ(facts(), "");
  remove("bound");
  remove("fixed");
  EXPECT_EQ(facts(), "");
  set(pool("lasting", 1));
  EXPECT_EQ(facts(), "set_pool");
  set(pool("lasting", 1), true);
  EXPECT_EQ(facts(), "remove_pool") << "the configuration takes its name";
  set(pool("other", 1));
  remove("other");
  EXPECT_EQ(facts(), "remove_pool");
  remove("other");
  EXPECT_EQ(facts(), "");
}

TEST_F(PoolTest, RemovalCancelsItsJobsAndGoesWithTheLastOfThem) {
  set(pool("a", 1));
  const JobId running = send("a", 2);
  const JobId transient = send("a", 1, false);
  started(running);
  remove("a");
  EXPECT_EQ(effects<Stop>().size(), 1U);
  EXPECT_EQ(effects<Stop>()[0].id, running);
  EXPECT_EQ(facts(), "remove_pool cancel cancel finish finish");
  ASSERT_EQ(published(EventKind::finished).size(), 2U);
  const FinishedJob& queued = *published(EventKind::finished)[0].finished;
  EXPECT_EQ(queued.outcome, Outcome::cancelled);
  EXPECT_NE(queued.record.find(R"("error":{"kind":"pool_removed")"), std::string::npos) << queued.record;
  EXPECT_TRUE(scheduler_->find(transient)->is_finished());
  ASSERT_TRUE(scheduler_->find_pool("a"));
  EXPECT_TRUE(scheduler_->find_pool("a")->removing);
  ended(running, exited(0));
  EXPECT_EQ(published(EventKind::finished)[0].finished->outcome, Outcome::cancelled);
  EXPECT_FALSE(scheduler_->find_pool("a"));
  set(pool("a", 1));
  send("a");
  EXPECT_EQ(effects<Start>().size(), 1U) << "the name is free again";
}

TEST_F(PoolTest, ARefusedSubmitIsTheLastOfAPoolThatGoes) {
  set(pool("a", 1));
  const JobId id = send("a", 1);
  const auto number = scheduler_->newest_persist();
  remove("a");
  EXPECT_TRUE(scheduler_->find_pool("a"));
  refused(number);
  EXPECT_EQ(scheduler_->find(id), nullptr);
  EXPECT_FALSE(scheduler_->find_pool("a"));
}

TEST_F(PoolTest, ShortMessagesGoAhead) {
  Config config = slots(1);
  config.turnaround = std::chrono::milliseconds(1);
  make(config);
  set(pool("a", 1));
  for (int i = 0; i < 20; ++i) {
    const JobId quick = send("a");
    started(quick);
    now_ += std::chrono::microseconds(200);
    ended(quick, exited(0));
  }
  durable();
  const JobId first = send("a", 6);
  EXPECT_GT(effects<Start>().size(), 2U);
  EXPECT_EQ(state_of(first + 1), State::queued) << "who was started ahead does not run yet";
  EXPECT_EQ(scheduler_->find_pool("a")->running, 1U);
}

TEST_F(PoolTest, ComesBackWithItsJobs) {
  Config config = slots(1);
  config.first_id = 100;
  make(config);
  scheduler_->on_pools_recovered({{pool("a", 1), user_}});
  const auto stored = [this](JobId id, const char* name, Attempt attempt) {
    StoredJob job;
    job.id = id;
    if (attempt > 0) job.spec = message(name);
    job.pool = name;
    job.user = user_;
    job.lane = Lane::pool;
    job.attempt = attempt;
    return job;
  };
  out_.clear();
  scheduler_->on_recovered({stored(1, "a", 1), stored(2, "a", 0), stored(3, "gone", 0), stored(4, "gone", 1)}, {}, now_, out_);
  scheduler_->check();
  EXPECT_TRUE(effects<Start>().empty()) << "job 1 runs until somebody says otherwise";
  ASSERT_EQ(effects<Load>().size(), 1U);
  out_.clear();
  scheduler_->on_loaded({{2, message("a"), nullptr}, {3, message("gone"), nullptr}}, now_, out_);
  scheduler_->check();
  ASSERT_EQ(published(EventKind::finished).size(), 1U);
  EXPECT_EQ(published(EventKind::finished)[0].id, 3U) << "its pool is gone";
  EXPECT_TRUE(scheduler_->find_pool("gone")->removing);
  out_.clear();
  scheduler_->on_returned(4, 1, now_, out_);
  EXPECT_EQ(published(EventKind::finished)[0].finished->outcome, Outcome::cancelled);
  EXPECT_FALSE(scheduler_->find_pool("gone"));
  out_.clear();
  scheduler_->on_returned(1, 1, now_, out_);
  ASSERT_EQ(effects<Start>().size(), 1U);
  EXPECT_EQ(effects<Start>()[0].id, 1U);
  EXPECT_EQ(effects<Start>()[0].attempt, 1U);
}

TEST_F(PoolTest, NobodyOvertakesThoseThatAreCalledBack) {
  Config config = slots(1);
  config.turnaround = 1ms;
  make(config);
  set(pool("a", 1));
  const JobId quick = send("a");
  started(quick);
  ended(quick, exited(0));
  durable();
  const JobId first = send("a", 200);
  const std::size_t ahead = effects<Start>().size();
  ASSERT_GT(ahead, 2U);
  ASSERT_LT(ahead, 200U);
  started(first);
  EndReport quickly = exited(0);
  quickly.finished_at = now_;
  timer();  // and only now it is told
  ASSERT_EQ(effects<Recall>().size(), ahead - 1);
  // A worker that is free meanwhile takes the first that is left.
  for (std::size_t i = 0; i + 1 < ahead; ++i) EXPECT_EQ(effects<Recall>()[i].id, first + ahead - 1 - i);
  ended(first, quickly);
  EXPECT_TRUE(effects<Start>().empty()) << "it would be in the runner's hands before those that come back";
  out_.clear();
  scheduler_->on_returned(first + 1, 1, now_, out_);
  scheduler_->check();
  ASSERT_EQ(effects<Start>().size(), 1U);
  EXPECT_EQ(effects<Start>()[0].id, first + 1);
  // One may have begun before its recall was read.
  for (JobId id = first + 2; id + 1 < first + ahead; ++id) {
    scheduler_->on_returned(id, 1, now_, out_);
    scheduler_->check();
  }
  started(first + ahead - 1);
  EXPECT_FALSE(effects<Start>().empty());
  EXPECT_EQ(effects<Start>()[0].id, first + ahead) << "nobody is on the way back any more";
}

}  // namespace
}  // namespace stint::core
