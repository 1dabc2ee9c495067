// What the engine owes the executors: starts that are on record, and none that was called back before.
#include "daemon/engine.hpp"

#include <gtest/gtest.h>

#include "tests/unit/feed/house.hpp"

namespace stint {
namespace {

/// Keeps what it was told to start.
class Programs final : public exec::Executor {
 public:
  void start(exec::Order order) override { started.push_back(order.id); }
  void stop(JobId, Attempt, bool) override {}
  void close(std::function<void()> done) override { done(); }

  std::vector<JobId> started;
};

class EngineTest : public testing::Test {
 protected:
  EngineTest() : engine_(io_, store_, tasks_, options()) { engine_.attach(core::Lane::program, programs_); }

  static EngineOptions options() {
    EngineOptions options;
    options.core.slots.fill(1);
    options.core.turnaround = std::chrono::milliseconds(1);
    return options;
  }
  JobId submit(std::size_t count, std::int32_t priority) {
    auto spec = std::make_shared<JobSpec>();
    spec->command = {"true"};
    spec->priority = priority;
    std::vector<Engine::NewJob> jobs(count);
    for (Engine::NewJob& job : jobs) job.spec = spec;
    return engine_.submit(std::move(jobs), user_, "job", std::nullopt, std::nullopt).first;
  }
  void run_to_its_end(JobId id) {
    engine_.on_started(id, 1, {wall_now(), "runner-1", 42});
    EndReport report;
    report.ending = EndReport::Exited{0};
    engine_.on_ended(id, 1, std::move(report));
    store_.commit();
  }

  /// Notes what becomes of a submit, and of a read that comes after it.
  void submit_and_read() {
    submit(1, 0);
    engine_.when_durable(engine_.newest(),
                         [this](const std::optional<Error>& refused) { told_ += refused ? "-submit " : "+submit "; });
    engine_.when_seen(engine_.newest(), [this](bool stands) { told_ += stands ? "+read " : "-read "; });
  }

  std::string told_;
  boost::asio::io_context io_;
  fakes::HandStore store_;
  TaskRegistry tasks_;
  Engine engine_;
  Programs programs_;
  std::shared_ptr<const core::User> user_ = std::make_shared<const core::User>(core::User{1000, "someone"});
};

TEST_F(EngineTest, NothingStartsBeforeItIsOnRecord) {
  const JobId first = submit(1, 0);
  EXPECT_TRUE(programs_.started.empty());
  store_.commit();
  EXPECT_EQ(programs_.started, std::vector{first});
}

TEST_F(EngineTest, AStartThatIsCalledBackBeforeItsCommitNeverGoesOut) {
  const JobId quick = submit(1, 0);
  store_.commit();
  run_to_its_end(quick);  // from now on starts go ahead of the slot
  const JobId first = submit(2, 0);
  const JobId urgent = submit(1, 1'000);
  store_.commit();
  EXPECT_EQ(programs_.started, (std::vector{quick, first, urgent})) << "the second stood ahead of its slot";
  store_.commit();
  EXPECT_EQ(programs_.started, (std::vector{quick, first, urgent, first + 1}));
}

TEST_F(EngineTest, AReadThatHasSeenWhatIsRefusedIsAskedAgain) {
  submit_and_read();
  EXPECT_EQ(told_, "");
  store_.refuse();
  EXPECT_EQ(told_, "-submit -read ");
  engine_.when_seen(engine_.newest(), [this](bool stands) { told_ += stands ? "+again" : "-again"; });
  EXPECT_EQ(told_, "-submit -read +again") << "nothing is left that it would wait for";
}

// Else a read would wait for the next one for ever, where many try.
TEST_F(EngineTest, WhileTheStoreRefusesOneAsksItAndOthersAreToldTheSame) {
  submit(1, 0);
  store_.refuse();
  submit_and_read();
  submit_and_read();
  EXPECT_EQ(told_, "");
  io_.poll();
  EXPECT_EQ(told_, "-submit -read ") << "the second; the first asks";
  submit_and_read();
  told_.clear();
  engine_.when_seen(engine_.newest(), [this](bool stands) {
    told_ += stands ? "" : "-early ";
    engine_.when_seen(engine_.newest(), [this](bool) { told_ += "again "; });
  });
  store_.refuse();
  EXPECT_EQ(told_, "-submit -submit -read -read -early again ") << "those that were turned away meanwhile are undone by then";
  told_.clear();
  submit_and_read();
  store_.commit();
  submit_and_read();
  store_.commit();
  EXPECT_EQ(told_, "+submit +read +submit +read ");
}

}  // namespace
}  // namespace stint
