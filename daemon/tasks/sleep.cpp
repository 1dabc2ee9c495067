// sleep: waits and gives back how long it was asked to.
//
// Takes {"seconds": n}, or the number itself, also as a string, so that a list of items can be slept through. Throws
// TaskError `invalid_args`, and `stopped` where it was woken before its time.
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <condition_variable>
#include <mutex>

#include "common/limits.hpp"
#include "daemon/tasks/builtin.hpp"

namespace stint::tasks {
namespace {

struct Asked {
  nlohmann::json seconds;  // as it was written: 5 stays 5
  Duration duration{};
};

nlohmann::json number_of(const nlohmann::json& args) {
  if (args.is_number()) return args;
  if (args.is_string()) {
    const auto& text = args.get_ref<const std::string&>();
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
      throw TaskError("invalid_args", "'" + text + "' is not a number of seconds");
    }
    return value;
  }
  static_cast<void>(task_argument<double>(args, "seconds"));
  return args.at("seconds");
}

Asked asked_of(const nlohmann::json& args) {
  Asked asked;
  asked.seconds = number_of(args);
  const auto seconds = asked.seconds.get<double>();
  if (!(seconds >= 0 && seconds <= limits::duration_seconds_max)) {
    throw TaskError("invalid_args",
                    "argument 'seconds' must be 0 … " + std::to_string(static_cast<std::int64_t>(limits::duration_seconds_max)));
  }
  asked.duration = from_seconds(seconds);
  return asked;
}

nlohmann::json sleep_blocking(const TaskContext& context, const nlohmann::json& args) {
  const Asked asked = asked_of(args);
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, context.stop, asked.duration, [] { return false; });
  if (context.stop.stop_requested()) throw TaskError("stopped", "the task was stopped");
  return asked.seconds;
}

boost::asio::awaitable<nlohmann::json> sleep_coroutine(const TaskContext&, const nlohmann::json& args) {
  const Asked asked = asked_of(args);
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, asked.duration);
  co_await timer.async_wait(boost::asio::use_awaitable);
  co_return asked.seconds;
}

}  // namespace

Task sleep_task() {
  Task task;
  task.name = "sleep";
  task.description = "waits for some seconds; the arguments may also be the number itself";
  task.parameters = {{"seconds", "number", "how long, with a fraction", true}};
  task.blocking = sleep_blocking;
  task.coroutine = sleep_coroutine;
  task.inline_coroutine = true;
  return task;
}

}  // namespace stint::tasks
