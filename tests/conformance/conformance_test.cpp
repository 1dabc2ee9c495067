// The one suite that every executor passes: what executor.hpp promises, seen from outside.
//
// Times stand only where a time is the thing that is tested, and then with room for a busy machine.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/conformance/fixture.hpp"
#include "tests/conformance/pool_subject.hpp"
#include "tests/conformance/program_subject.hpp"

namespace stint::test {

using namespace std::chrono_literals;
namespace {

class Conformance : public ::testing::TestWithParam<SubjectMaker> {
 protected:
  Bench bench{GetParam()};
  Subject& subject = *bench.subject;
  Recorder& recorder = bench.recorder;
};

TEST_P(Conformance, Success) {
  const Time before = wall_now();
  const EndReport& end = bench.run(subject.says("hello"));
  EXPECT_EQ(natural_outcome(end), Outcome::succeeded);
  EXPECT_EQ(subject.said(end), "hello");
  EXPECT_FALSE(end.stopped);
  EXPECT_FALSE(end.timed_out);
  EXPECT_EQ(recorder.records[1].started, 1);
  EXPECT_EQ(recorder.records[1].ended, 1);
  EXPECT_GE(recorder.records[1].start.at, before);
  EXPECT_GE(end.finished_at, recorder.records[1].start.at);
}

TEST_P(Conformance, FailureDoesNotStopTheOthers) {
  const JobId fails = bench.start(subject.fails());
  const JobId says = bench.start(subject.says("on I go"));
  ASSERT_TRUE(bench.wait_ends(2));
  EXPECT_EQ(natural_outcome(recorder.records[fails].end), Outcome::failed);
  EXPECT_EQ(subject.said(recorder.records[says].end), "on I go");
}

TEST_P(Conformance, CancelWhileRunning) {
  const JobId id = bench.start(subject.sleeps(600));
  ASSERT_TRUE(bench.wait_started(id));
  bench.stop(id);
  ASSERT_TRUE(bench.wait_ended(id));
  EXPECT_TRUE(recorder.records[id].end.stopped);
  EXPECT_FALSE(recorder.records[id].end.timed_out);
  EXPECT_EQ(natural_outcome(recorder.records[id].end), Outcome::failed);
}

TEST_P(Conformance, CancelRightAfterTheStart) {
  const JobId id = bench.start(subject.sleeps(600));
  bench.stop(id);
  auto& record = recorder.records[id];
  ASSERT_TRUE(run_until(bench.io, [&] { return record.ended + record.returned > 0; }));
  EXPECT_EQ(record.ended + record.returned, 1);
  if (record.returned > 0) return;  // it had not begun
  EXPECT_TRUE(record.end.stopped);
}

TEST_P(Conformance, CancelIsRepeatedAndMistaken) {
  const JobId id = bench.start(subject.sleeps(600));
  const JobId other = bench.start(subject.says("untouched"));
  ASSERT_TRUE(bench.wait_ended(other));
  subject.executor().stop(other, 1, true);    // has ended
  subject.executor().stop(id, 2, true);       // another attempt
  subject.executor().stop(id + 7, 1, false);  // never existed
  for (int i = 0; i < 3; ++i) bench.stop(id);
  ASSERT_TRUE(bench.wait_ended(id));
  EXPECT_EQ(recorder.records[id].ended, 1);
  EXPECT_EQ(recorder.order.size(), 2U);
}

TEST_P(Conformance, TimeoutStopsIt) {
  JobSpec spec = subject.sleeps(600);
  spec.timeout = 50ms;
  const EndReport& end = bench.run(spec);
  EXPECT_TRUE(end.timed_out);
  EXPECT_EQ(recorder.records[1].stopping, 1);
  EXPECT_GE(end.finished_at - recorder.records[1].start.at, 50ms);
}

TEST_P(Conformance, TimeoutThatIsNotReachedChangesNothing) {
  JobSpec spec = subject.says("in time");
  spec.timeout = 600s;
  const EndReport& end = bench.run(spec);
  EXPECT_EQ(subject.said(end), "in time");
  EXPECT_FALSE(end.timed_out);
  EXPECT_EQ(recorder.records[1].stopping, 0);
}

TEST_P(Conformance, StopIgnoredThenGrace) {
  // Where nothing can be killed it runs its time, which must then be short.
  const double seconds = subject.isolated() ? 600 : 0.5;
  JobSpec spec = subject.ignores_stop(seconds);
  spec.timeout = 50ms;
  spec.grace = 100ms;
  const EndReport& end = bench.run(spec);
  EXPECT_TRUE(end.timed_out);
  EXPECT_EQ(recorder.records[1].stopping, 1);
  const Duration ran = end.finished_at - recorder.records[1].start.at;
  EXPECT_GE(ran, subject.isolated() ? 150ms : 450ms);
  EXPECT_EQ(subject.said(bench.run(subject.says("the slot is free again"))), "the slot is free again");
}

TEST_P(Conformance, ForceKillsAtOnce) {
  if (!subject.isolated()) return;  // nothing else can be killed
  JobSpec spec = subject.ignores_stop(600);
  spec.grace = 600s;
  const JobId id = bench.start(spec);
  ASSERT_TRUE(bench.wait_started(id));
  bench.stop(id);
  bench.stop(id, true);
  ASSERT_TRUE(bench.wait_ended(id));
  EXPECT_TRUE(recorder.records[id].end.stopped);
}

TEST_P(Conformance, CrashIsItsOwn) {
  const auto crashes = subject.crashes();
  if (!crashes) return;
  const JobId beside = bench.start(subject.sleeps(600));
  ASSERT_TRUE(bench.wait_started(beside));
  const EndReport end = bench.run(*crashes);
  EXPECT_EQ(natural_outcome(end), Outcome::failed);
  EXPECT_FALSE(end.stopped);
  EXPECT_EQ(recorder.records[beside].ended, 0);
  EXPECT_EQ(subject.said(bench.run(subject.says("next"))), "next");
  bench.stop(beside);
  ASSERT_TRUE(bench.wait_ended(beside));
}

TEST_P(Conformance, HugeResult) {
  constexpr std::size_t bytes = 12U << 20U;
  const EndReport& end = bench.run(subject.produces(bytes));
  EXPECT_EQ(natural_outcome(end), Outcome::succeeded);
  EXPECT_EQ(subject.produced(end), bytes);
}

TEST_P(Conformance, OrderOfCompletion) {
  // One at a time is known to run before the next starts, so a late start cannot turn the order round.
  std::vector<JobId> ids;
  for (const double seconds : {2.0, 0.4, 1.2, 0.8, 1.6}) {
    ids.push_back(bench.start(subject.sleeps(seconds)));
  }
  ASSERT_TRUE(bench.wait_ends(5));
  EXPECT_EQ(recorder.order, (std::vector<JobId>{ids[1], ids[3], ids[2], ids[4], ids[0]}));
}

TEST_P(Conformance, Progress) {
  const auto reports = subject.reports();
  if (!reports) return;
  const JobId id = bench.start(*reports);
  ASSERT_TRUE(bench.wait_ended(id));
  const auto& record = recorder.records[id];
  ASSERT_FALSE(record.progress.empty());
  EXPECT_TRUE(std::is_sorted(record.progress.begin(), record.progress.end()));
  EXPECT_EQ(record.progress.back(), 0.5);
  EXPECT_EQ(record.progress_text, "half");
}

TEST_P(Conformance, AThousandAtOnce) {
  std::vector<JobSpec> specs;
  for (int i = 0; i < 1'000; ++i) specs.push_back(subject.says("number " + std::to_string(i)));
  bench.start_all(std::move(specs));
  ASSERT_TRUE(bench.wait_ends(1'000));
  std::vector<std::string> said;
  for (auto& [id, record] : recorder.records) {
    EXPECT_EQ(record.started, 1);
    EXPECT_EQ(record.ended, 1);
    said.push_back(subject.said(record.end));
  }
  std::sort(said.begin(), said.end());
  EXPECT_EQ(std::unique(said.begin(), said.end()), said.end());
  EXPECT_EQ(said.size(), 1'000U);
}

TEST_P(Conformance, CloseWithWorkInFlight) {
  std::vector<JobId> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(bench.start(subject.sleeps(600)));
  ASSERT_TRUE(bench.wait_started(ids[0]));
  ids.push_back(bench.start(subject.sleeps(600)));  // not begun yet
  bench.close();
  for (const JobId id : ids) {
    const auto& record = recorder.records[id];
    EXPECT_EQ(record.ended + record.returned, 1) << id;
    EXPECT_EQ(record.ended == 1, record.end.stopped) << id;
  }
}

TEST_P(Conformance, CloseWhileIdle) { bench.close(); }

TEST_P(Conformance, CloseAfterWork) {
  bench.run(subject.says("once"));
  bench.close();
}

INSTANTIATE_TEST_SUITE_P(Programs, Conformance, ::testing::ValuesIn(program_subjects()),
                         [](const auto& param) { return param.param.name; });
INSTANTIATE_TEST_SUITE_P(Pools, Conformance, ::testing::ValuesIn(pool_subjects()),
                         [](const auto& param) { return param.param.name; });
INSTANTIATE_TEST_SUITE_P(Tasks, Conformance, ::testing::ValuesIn(task_subjects()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace stint::test
