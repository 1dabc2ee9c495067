// What holds for every executor of tasks, beyond the common suite: arguments, results, bounds, failures.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "common/limits.hpp"
#include "tests/conformance/fixture.hpp"
#include "tests/conformance/task_subject.hpp"

namespace stint::test {

using namespace std::chrono_literals;
namespace {

class Tasks : public ::testing::TestWithParam<SubjectMaker> {
 protected:
  /// The result's text; the failure's kind and message where it failed.
  std::string run(const std::string& task, const std::string& args = "", std::optional<std::string> item = std::nullopt) {
    const EndReport& end = bench.run(task_job(task, args), std::move(item));
    if (const auto* returned = std::get_if<EndReport::Returned>(&end.ending)) return returned->result.text;
    const auto& error = std::get<EndReport::Failed>(end.ending).error;
    return error.kind + ": " + error.message;
  }

  Bench bench{GetParam()};
};

double thread_cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

TEST_P(Tasks, ArgumentsComeFromTheItemThenTheJob) {
  EXPECT_EQ(run("echo", R"({"a":[1,2.5,"x",null,true]})"), R"({"a":[1,2.5,"x",null,true]})");
  EXPECT_EQ(run("echo", R"("of the job")", R"("of the item")"), R"("of the item")");
  EXPECT_EQ(run("echo"), "null");
}

TEST_P(Tasks, FailuresKeepTheirKind) {
  EXPECT_EQ(run("fail", R"({"message":"no luck","kind":"luck"})"), "luck: no luck");
  EXPECT_EQ(run("fail", R"({"message":5})"), "invalid_args: argument 'message' has the wrong type or is out of range");
  EXPECT_EQ(run("sleep", R"({"seconds":-1})").substr(0, 12), "invalid_args");
  EXPECT_EQ(run("odd"), "exception: the task threw something that is no std::exception");
  EXPECT_EQ(run("produce", R"({"byte":1})").substr(0, 10), "exception:");
}

TEST_P(Tasks, UnknownTask) { EXPECT_EQ(run("no_such").substr(0, 13), "unknown_task:"); }

TEST_P(Tasks, ResultAtItsBoundAndOnePast) {
  const auto at = std::to_string(limits::result_bytes_max);
  EXPECT_EQ(run("produce", R"({"bytes":)" + at + "}").size(), limits::result_bytes_max);
  const auto past = std::to_string(limits::result_bytes_max + 1);
  EXPECT_EQ(run("produce", R"({"bytes":)" + past + "}"),
            "result_too_large: the result has " + past + " bytes; at most " + at + " are kept");
}

TEST_P(Tasks, DepthAtItsBoundAndOnePast) {
  const auto levels = limits::depth_levels_max;
  EXPECT_EQ(run("deep", R"({"levels":)" + std::to_string(levels) + "}"),
            std::string(levels, '[') + "0" + std::string(levels, ']'));
  EXPECT_EQ(run("deep", R"({"levels":)" + std::to_string(levels + 1) + "}").substr(0, 16), "result_too_deep:");
}

TEST_P(Tasks, PayloadsAroundTheSharedBound) {
  for (const std::size_t bytes : {limits::shared_payload_bytes_min - 1, limits::shared_payload_bytes_min}) {
    const std::string text = '"' + std::string(bytes - 2, 'p') + '"';
    EXPECT_TRUE(run("echo", text) == text) << bytes;
  }
}

TEST_P(Tasks, LargeArgumentAndResultPassAndNobodyWaits) {
  std::string text = "\"";
  while (text.size() < (12U << 20U)) text += std::to_string(text.size() * 2654435761U) + ' ';
  text += '"';
  const std::string item = text;
  const JobId large = bench.start(task_job("echo"), item);
  const double before = thread_cpu_seconds();
  ASSERT_TRUE(bench.wait_ended(large));
  const double io_thread = thread_cpu_seconds() - before;
  const auto* returned = std::get_if<EndReport::Returned>(&bench.recorder.records[large].end.ending);
  ASSERT_NE(returned, nullptr);
  EXPECT_TRUE(returned->result.text == text);
  // What is inline or instant is the daemon's own and runs where it runs; everybody else leaves the I/O thread alone.
  if (GetParam().name != "coroutine_inline" && GetParam().name != "coroutine_instant") {
    EXPECT_LT(io_thread, 0.02);
  }
}

TEST_P(Tasks, ReportingInALoopCostsLittle) {
  const JobId id = bench.start(task_job("flood", R"({"reports":200000})"));
  ASSERT_TRUE(bench.wait_ended(id));
  const auto& progress = bench.recorder.records[id].progress;
  ASSERT_FALSE(progress.empty());
  EXPECT_EQ(progress.back(), 1.0);
  EXPECT_LT(progress.size(), 1'000U);
}

TEST_P(Tasks, CrashIsRefusedWhereItWouldEndTheDaemon) {
  if (bench.subject->isolated()) return;
  EXPECT_EQ(run("fail", R"({"crash":true})").substr(0, 13), "invalid_args:");
}

TEST_P(Tasks, ProgramsOnlyCallsAreConflicts) {
  const auto kind_of = [](const std::optional<Error>& error) { return error ? error->kind() : ErrorKind::internal_error; };
  int answers = 0;
  auto& executor = bench.subject->executor();
  executor.signal(1, 1, 15, [&](const auto& error) { answers += kind_of(error) == ErrorKind::conflict ? 1 : 0; });
  executor.write_input(1, 1, {"x", true, {}},
                       [&](const auto& error) { answers += kind_of(error) == ErrorKind::conflict ? 1 : 0; });
  executor.read_output({}, [&](const auto& error, const auto&) { answers += kind_of(error) == ErrorKind::conflict ? 1 : 0; });
  EXPECT_EQ(answers, 3);
}

INSTANTIATE_TEST_SUITE_P(Executors, Tasks, ::testing::ValuesIn(task_subjects()),
                         [](const auto& param) { return param.param.name; });

class Coroutines : public ::testing::TestWithParam<TaskPlace> {};

TEST_P(Coroutines, TenThousandSleepAtOnce) {
  Bench bench({"coroutine", [](auto& io, auto& observer) { return std::make_unique<TaskSubject>(GetParam(), io, observer); }});
  for (int i = 0; i < 10'000; ++i) bench.start(task_job("sleep", "1"));
  ASSERT_TRUE(bench.wait_ends(10'000));
  Time first = Time::max();
  Time last{};
  for (const auto& [id, record] : bench.recorder.records) {
    first = std::min(first, record.start.at);
    last = std::max(last, record.end.finished_at);
  }
  EXPECT_GE(last - first, 1s);
  EXPECT_LT(last - first, 6s);  // side by side, not one after the other
}

TEST_P(Coroutines, TenThousandAreCancelled) {
  Bench bench({"coroutine", [](auto& io, auto& observer) { return std::make_unique<TaskSubject>(GetParam(), io, observer); }});
  for (int i = 0; i < 10'000; ++i) bench.start(task_job("sleep", "600"));
  ASSERT_TRUE(bench.wait_started(10'000));
  for (JobId id = 1; id <= 10'000; ++id) bench.stop(id);
  ASSERT_TRUE(bench.wait_ends(10'000));
  EXPECT_EQ(Bench::kind_of(bench.recorder.records[5'000].end), "stopped");
}

INSTANTIATE_TEST_SUITE_P(Contexts, Coroutines, ::testing::Values(TaskPlace::coroutine_inline, TaskPlace::coroutine_second));

}  // namespace
}  // namespace stint::test
