// The daemon's side of a connection to a runner: what it asks of which runner, and what a question is answered when it closes.
#include "daemon/exec/runner_link.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>

#include "common/packet_link.hpp"

namespace stint::exec {
namespace {

class Deaf : public RunnerLink::Listener {
 public:
  void on_run_started(RunnerLink&, const worker::RunStarted&) override {}
  void on_run_stopping(const worker::RunStopping&) override {}
  void on_run_ended(RunnerLink&, worker::RunEnded) override {}
  void on_run_returned(const worker::Run&) override {}
  void on_slots_free(std::uint32_t) override {}
  void on_run_found(RunnerLink&, const worker::RunStarted&) override {}
  void on_ended_run_found(RunnerLink&, worker::RunEnded) override {}
  void on_runner_answered(RunnerLink&) override {}
  void on_runner_lost(RunnerLink&) override {}
};

class Links : public ::testing::Test {
 protected:
  Links() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    ours_.reset(ends[0]);
    runner = worker::PacketLink(UniqueFd(ends[1]));
    runner.set_epoch(epoch);
  }

  RunnerLink link_to_runner(bool taken_over) {
    return RunnerLink(io, Worker{"runner-1", 1, std::move(ours_)}, taken_over, worker::Hello{epoch, "i", "s", "o"}, deaf);
  }
  /// What the runner gets, but for the Hello.
  std::vector<worker::FeedInput> fed() {
    io.restart();
    io.poll();
    std::vector<worker::FeedInput> frames;
    (void)runner.receive([&](const worker::FrameView& frame) {
      if (frame.kind == worker::FrameKind::input) frames.push_back(worker::decode<worker::FeedInput>(frame));
    });
    return frames;
  }
  DoneCallback answer() {
    return [this](std::optional<Error> error) { answers.push_back(std::move(error)); };
  }

  boost::asio::io_context io;
  Deaf deaf;
  worker::PacketLink runner;
  std::vector<std::optional<Error>> answers;

 private:
  static constexpr std::uint32_t epoch = 1;
  UniqueFd ours_;
};

TEST_F(Links, ARunnerOfAnEarlierVersionIsAskedOnlyWhatItUnderstands) {
  RunnerLink link = link_to_runner(true);
  runner.post(worker::Welcome{7, {}});
  (void)runner.flush();
  io.poll();
  ASSERT_TRUE(link.has_answered());
  link.write_input({1, 1}, {"abc", true, 5}, answer());
  ASSERT_EQ(answers.size(), 1U);
  ASSERT_TRUE(answers.front());
  EXPECT_EQ(answers.front()->field, "offset");
  link.write_input({1, 1}, {"abc", true, {}}, answer());
  EXPECT_EQ(fed().size(), 1U);
}

TEST_F(Links, ARunnerOfThisVersionIsToldTheOffset) {
  RunnerLink link = link_to_runner(true);
  runner.post(worker::Welcome{7, worker::runner_revision});
  (void)runner.flush();
  io.poll();
  link.write_input({1, 1}, {"abc", true, 5}, answer());
  const auto frames = fed();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames.front().offset, 5U);
}

TEST_F(Links, ItsOwnRunnerNeedNotHaveAnswered) {
  RunnerLink link = link_to_runner(false);
  link.write_input({1, 1}, {"abc", true, 5}, answer());
  EXPECT_EQ(fed().size(), 1U);
  link.close(shutting_down());
  ASSERT_EQ(answers.size(), 1U);
  ASSERT_TRUE(answers.front());
  EXPECT_EQ(answers.front()->kind(), ErrorKind::draining);
}

TEST_F(Links, QuestionsOfALostRunnerAreAnswered) {
  RunnerLink link = link_to_runner(false);
  link.write_input({1, 1}, {"abc", true, {}}, answer());
  io.poll();
  runner.close();
  io.restart();
  io.poll();
  ASSERT_EQ(answers.size(), 1U);
  ASSERT_TRUE(answers.front());
  EXPECT_EQ(answers.front()->reason, "runner_lost");
}

}  // namespace
}  // namespace stint::exec
