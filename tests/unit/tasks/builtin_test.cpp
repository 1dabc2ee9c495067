// The built-in tasks by themselves, in both forms, without an executor.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "daemon/tasks/builtin.hpp"

namespace stint::tasks {
namespace {

using nlohmann::json;

/// Both forms of a task give the same; so each test asks both, where there are two.
class Form : public ::testing::TestWithParam<bool> {
 protected:
  Form() {
    register_builtin_tasks(registry);
    std::string pattern = (std::filesystem::temp_directory_path() / "stint-test-XXXXXX").native();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory = pattern;
  }
  ~Form() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }

  json run(const std::string& name, const json& args) {
    const Task& task = *registry.find(name);
    if (!GetParam() || task.instant) return task.blocking(context, args);
    boost::asio::io_context io;
    json result;
    std::exception_ptr thrown;
    boost::asio::co_spawn(io, task.coroutine(context, args), [&](std::exception_ptr error, json value) {
      thrown = std::move(error);
      result = std::move(value);
    });
    io.run();
    if (thrown) std::rethrow_exception(thrown);
    return result;
  }
  /// "kind: message" of the TaskError that it throws.
  std::string failure(const std::string& name, const json& args) {
    try {
      return "returned " + run(name, args).dump();
    } catch (const TaskError& error) {
      return error.kind() + ": " + error.what();
    }
  }
  std::string file_of(const std::string& content) {
    const auto path = directory / "file";
    std::ofstream(path, std::ios::binary) << content;
    return path.native();
  }

  TaskRegistry registry;
  std::stop_source stop;
  TaskContext context;
  std::filesystem::path directory;
};

constexpr const char* sha_of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* sha_of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* sha_of_million_a =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";  // FIPS 180-4's example

TEST_P(Form, Echo) {
  for (const char* text : {"null", "17", R"({"a":[1,{"b":"c"}]})"}) EXPECT_EQ(run("echo", json::parse(text)).dump(), text);
}

TEST_P(Form, SleepGivesBackWhatWasAsked) {
  EXPECT_EQ(run("sleep", {{"seconds", 0.001}}).dump(), "0.001");
  EXPECT_EQ(run("sleep", 0).dump(), "0");
  EXPECT_EQ(run("sleep", "0.002").dump(), "0.002");
}

TEST_P(Form, SleepSleeps) {
  const auto before = std::chrono::steady_clock::now();
  run("sleep", 0.05);
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(50));
}

TEST_P(Form, SleepArguments) {
  EXPECT_EQ(failure("sleep", nullptr), "invalid_args: argument 'seconds' is missing");
  EXPECT_EQ(failure("sleep", {{"seconds", "1"}}), "invalid_args: argument 'seconds' has the wrong type or is out of range");
  EXPECT_EQ(failure("sleep", -0.001), "invalid_args: argument 'seconds' must be 0 … 315360000");
  EXPECT_EQ(failure("sleep", 315'360'001), "invalid_args: argument 'seconds' must be 0 … 315360000");
  EXPECT_EQ(failure("sleep", "soon"), "invalid_args: 'soon' is not a number of seconds");
  EXPECT_EQ(failure("sleep", "1 "), "invalid_args: '1 ' is not a number of seconds");
  EXPECT_EQ(failure("sleep", json::array({1})), "invalid_args: the arguments must be an object");
}

TEST_P(Form, Fail) {
  EXPECT_EQ(failure("fail", nullptr), "failed: the task failed as it was asked to");
  EXPECT_EQ(failure("fail", {{"message", "m"}, {"kind", "k"}}), "k: m");
  EXPECT_EQ(failure("fail", {{"crash", 1}}), "invalid_args: argument 'crash' has the wrong type or is out of range");
  EXPECT_EQ(failure("fail", {{"crash", true}}).substr(0, 13), "invalid_args:");
}

TEST_P(Form, DigestOfStrings) {
  EXPECT_EQ(run("digest", {{"string", ""}}), (json{{"sha256", sha_of_nothing}, {"bytes", 0}}));
  EXPECT_EQ(run("digest", {{"string", "abc"}}), (json{{"sha256", sha_of_abc}, {"bytes", 3}}));
  EXPECT_EQ(run("digest", {{"string", std::string(1'000'000, 'a')}}), (json{{"sha256", sha_of_million_a}, {"bytes", 1'000'000}}));
}

TEST_P(Form, DigestOfFiles) {
  EXPECT_EQ(run("digest", {{"file", file_of("")}}), (json{{"sha256", sha_of_nothing}, {"bytes", 0}}));
  EXPECT_EQ(run("digest", file_of("abc")), (json{{"sha256", sha_of_abc}, {"bytes", 3}}));
  EXPECT_EQ(run("digest", {{"file", file_of(std::string(1'000'000, 'a'))}}),
            (json{{"sha256", sha_of_million_a}, {"bytes", 1'000'000}}));
}

TEST_P(Form, DigestNamesTheFileAndTheReason) {
  const std::string missing = (directory / "missing").native();
  EXPECT_EQ(failure("digest", missing), "file: " + missing + ": No such file or directory");
  EXPECT_EQ(failure("digest", {{"file", directory.native()}}), "file: " + directory.native() + ": Is a directory");
  const std::string pipe = (directory / "pipe").native();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(failure("digest", pipe), "file: " + pipe + ": not a regular file");
  EXPECT_EQ(failure("digest", "relative"), "invalid_args: 'file' must be an absolute path, not 'relative'");
  EXPECT_EQ(failure("digest", nullptr), "invalid_args: argument 'file' is missing");
  EXPECT_EQ(failure("digest", {{"file", "/a"}, {"string", "b"}}), "invalid_args: give either 'file' or 'string'");
}

TEST_P(Form, Spin) {
  double last = 0;
  context.on_progress = [&last](double value, const std::string&) { last = value; };
  const json counted = run("spin", {{"iterations", 3'500'000}});
  EXPECT_EQ(counted.at("iterations"), 3'500'000);
  EXPECT_GT(last, 0.5);
  EXPECT_EQ(counted.at("check"), run("spin", {{"iterations", 3'500'000}}).at("check"));
  EXPECT_GE(run("spin", {{"seconds", 0.02}}).at("seconds"), 0.02);
  EXPECT_EQ(run("spin", {{"iterations", 0}}).at("iterations"), 0);
  EXPECT_EQ(failure("spin", nullptr), "invalid_args: give either 'seconds' or 'iterations'");
  EXPECT_EQ(failure("spin", {{"iterations", -1}}), "invalid_args: argument 'iterations' has the wrong type or is out of range");
}

TEST_P(Form, AStopTokenThatIsSetStops) {
  context.stop = stop.get_token();
  stop.request_stop();
  EXPECT_EQ(failure("spin", {{"seconds", 600}}), "stopped: the task was stopped");
  EXPECT_EQ(failure("digest", {{"string", "abc"}}), "stopped: the task was stopped");
  // The coroutine form of sleep hears of it by its cancelled timer alone.
  if (!GetParam()) {
    EXPECT_EQ(failure("sleep", 600), "stopped: the task was stopped");
  }
}

INSTANTIATE_TEST_SUITE_P(Tasks, Form, ::testing::Bool(),
                         [](const auto& param) { return param.param ? "Coroutine" : "Blocking"; });

TEST(BuiltinTasks, BlockingSleepWakesWhenItIsStopped) {
  std::string kind;
  std::jthread thread([&](const std::stop_token& stop) {
    TaskContext context;
    context.stop = stop;
    try {
      sleep_task().blocking(context, 600);
    } catch (const TaskError& error) {
      kind = error.kind();
    }
  });
  thread.request_stop();
  thread.join();
  EXPECT_EQ(kind, "stopped");
}

TEST(BuiltinTasks, CoroutineSleepWakesWhenItIsCancelled) {
  boost::asio::io_context io;
  boost::asio::cancellation_signal cancel;
  const Task task = sleep_task();
  const TaskContext context;
  const json args = 600;
  boost::system::error_code code;
  boost::asio::co_spawn(io, task.coroutine(context, args),
                        boost::asio::bind_cancellation_slot(cancel.slot(), [&](const std::exception_ptr& thrown, const json&) {
                          try {
                            if (thrown) std::rethrow_exception(thrown);
                          } catch (const boost::system::system_error& error) {
                            code = error.code();
                          }
                        }));
  boost::asio::post(io, [&] { cancel.emit(boost::asio::cancellation_type::all); });
  io.run();
  EXPECT_EQ(code, boost::asio::error::operation_aborted);
}

TEST(TaskArgument, LooksAtTheTypeAndTheRange) {
  const auto fits = [](auto sample, const json& value) {
    try {
      return task_argument<decltype(sample)>({{"x", value}}, "x") == value;
    } catch (const TaskError& error) {
      EXPECT_EQ(error.kind(), "invalid_args");
      return false;
    }
  };
  const json past_signed = std::uint64_t{1} << 63U;
  EXPECT_TRUE(fits(std::uint64_t{}, past_signed));
  EXPECT_FALSE(fits(std::int64_t{}, past_signed));
  EXPECT_TRUE(fits(std::int64_t{}, std::numeric_limits<std::int64_t>::min()));
  EXPECT_FALSE(fits(std::uint64_t{}, -1));
  EXPECT_TRUE(fits(std::uint64_t{}, 1));
  EXPECT_TRUE(fits(std::uint8_t{}, 255));
  EXPECT_FALSE(fits(std::uint8_t{}, 256));
  EXPECT_FALSE(fits(int{}, 1.0));
  EXPECT_FALSE(fits(int{}, true));
  EXPECT_TRUE(fits(double{}, 1));
  EXPECT_FALSE(fits(double{}, "1"));
  EXPECT_FALSE(fits(bool{}, 1));
  EXPECT_EQ(task_argument<int>(nullptr, "x", 7), 7);
  EXPECT_THROW(static_cast<void>(task_argument<int>(json::object(), "x")), TaskError);
}

TEST(BuiltinTasks, DeclareWhereTheyRun) {
  TaskRegistry registry;
  register_builtin_tasks(registry);
  EXPECT_EQ(registry.all().size(), 6U);
  for (const auto& [name, task] : registry.all()) {
    EXPECT_EQ(task.executors(), (std::vector{ExecutorKind::coroutine, ExecutorKind::thread, ExecutorKind::process})) << name;
    EXPECT_EQ(task.instant, name == "echo" || name == "fail") << name;
    EXPECT_EQ(task.inline_coroutine, name == "sleep") << name;
    EXPECT_FALSE(task.description.empty()) << name;
  }
  EXPECT_THROW(registry.add(echo_task()), std::logic_error);
}

}  // namespace
}  // namespace stint::tasks
