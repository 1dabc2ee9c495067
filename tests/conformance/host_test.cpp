// Hosts alone: what happens when their processes die, or cannot be started.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/conformance/fixture.hpp"
#include "tests/conformance/task_subject.hpp"

namespace stint::test {

using namespace std::chrono_literals;
namespace {

class Hosts : public ::testing::Test {
 protected:
  const JobError& error_of(JobId id) { return std::get<EndReport::Failed>(bench.recorder.records[id].end.ending).error; }

  Bench bench{{"host", [](auto& io, auto& observer) { return std::make_unique<TaskSubject>(TaskPlace::host, io, observer); }}};
  SpawnedWorkers& workers = *static_cast<TaskSubject&>(*bench.subject).workers();
};

TEST_F(Hosts, ACrashNamesTheSignal) {
  bench.run(task_job("fail", R"({"crash":true})"));
  EXPECT_EQ(error_of(1), (JobError{"crashed", "the host process that ran the task was killed by SIGSEGV"}));
}

TEST_F(Hosts, ATaskThatEndsItsProcess) {
  bench.run(task_job("exit"));
  EXPECT_EQ(error_of(1), (JobError{"crashed", "the host process that ran the task exited with status 3"}));
}

TEST_F(Hosts, KilledByAStranger) {
  const JobId id = bench.start(task_job("sleep", "600"));
  ASSERT_TRUE(bench.wait_started(id));
  ::kill(workers.pids().front(), SIGKILL);
  ASSERT_TRUE(bench.wait_ended(id));
  EXPECT_EQ(error_of(id), (JobError{"crashed", "the host process that ran the task was killed by SIGKILL"}));
}

TEST_F(Hosts, KilledAfterItsGraceIsSaidSo) {
  JobSpec spec = task_job("stubborn", R"({"seconds":600})");
  spec.timeout = 20ms;
  spec.grace = 20ms;
  bench.run(spec);
  EXPECT_EQ(error_of(1).kind, "killed");
}

TEST_F(Hosts, OneThatDiesWhileIdleIsReplaced) {
  bench.run(task_job("echo", "1"));
  ASSERT_EQ(workers.spawned(), 1);
  ::kill(workers.pids().front(), SIGKILL);
  ASSERT_TRUE(run_until(bench.io, [&] { return workers.pids().empty(); }));
  const EndReport& end = bench.run(task_job("echo", "2"));
  EXPECT_EQ(std::get<EndReport::Returned>(end.ending).result.text, "2");
  EXPECT_EQ(workers.spawned(), 2);
}

TEST_F(Hosts, OneHostServesManyTasks) {
  for (int i = 0; i < 20; ++i) bench.run(task_job("echo", std::to_string(i)));
  EXPECT_EQ(workers.spawned(), 1);
  EXPECT_EQ(bench.recorder.records[20].start.worker, "host-1");
}

TEST_F(Hosts, AStartThatFailsIsTriedAgain) {
  workers.fail_next(3);
  const EndReport& end = bench.run(task_job("echo", "1"));
  EXPECT_EQ(natural_outcome(end), Outcome::succeeded);
}

TEST_F(Hosts, StartsThatKeepFailingAreTold) {
  workers.fail_next(1'000);
  bench.run(task_job("echo", "1"));
  EXPECT_EQ(error_of(1), (JobError{"spawn", "no host process could be started: the test lets this start fail"}));
  workers.fail_next(0);
  EXPECT_EQ(natural_outcome(bench.run(task_job("echo", "1"))), Outcome::succeeded);
}

TEST_F(Hosts, CloseWhileAHostIsBeingStarted) {
  const JobId id = bench.start(task_job("echo", "1"));
  bench.io.run_one();  // the start reaches the executor, which asks for a host
  bench.close();
  EXPECT_EQ(bench.recorder.records[id].ended, 1);
}

TEST_F(Hosts, CloseWhileStartsFail) {
  workers.fail_next(1'000);
  const JobId id = bench.start(task_job("echo", "1"));
  bench.io.run_one();
  bench.io.run_one();
  bench.close();
  EXPECT_EQ(bench.recorder.records[id].ended, 1);
}

TEST_F(Hosts, CoresAreUsedSideBySide) {
  // Two tasks that sleep overlap: each in a process of its own.
  const JobId first = bench.start(task_job("sleep", "0.5"));
  const JobId second = bench.start(task_job("sleep", "0.5"));
  ASSERT_TRUE(bench.wait_ends(2));
  const auto& records = bench.recorder.records;
  EXPECT_NE(records.at(first).start.worker, records.at(second).start.worker);
  EXPECT_LT(records.at(second).start.at, records.at(first).end.finished_at);
}

}  // namespace
}  // namespace stint::test
