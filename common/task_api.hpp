// For the author of a task: a named function with JSON arguments and a JSON result.
//
// A task declares where it can run by what it provides: `blocking` runs on the thread executor and, isolated from the
// daemon, in a host process; `coroutine` runs on an io_context among thousands of others and must never block. Tasks of
// plug-ins (plugin_api.hpp) run in hosts, and in the daemon only if they say so.
// Failure is an exception: TaskError gives the job's `error` a kind of its own, any other std::exception has the kind
// `exception`. Stopping is cooperative: look at `stop`, or, in a coroutine, let the cancelled await throw.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/job_terms.hpp"
#include "common/plugin_file.hpp"
#include "common/time.hpp"

namespace stint {

/// A failure with a stable word for programs and a sentence for people.
class TaskError : public std::runtime_error {
 public:
  TaskError(std::string kind, const std::string& message) : std::runtime_error(message), kind_(std::move(kind)) {}
  [[nodiscard]] const std::string& kind() const noexcept { return kind_; }

 private:
  std::string kind_;
};

/// What a running task knows of itself. Lives as long as the run.
class TaskContext {
 public:
  using ProgressFn = std::function<void(double value, std::string text)>;

  JobId job = 0;
  Attempt attempt = 0;
  /// Set when the job is cancelled or its timeout has passed; what is done after `grace` is up to the executor.
  std::stop_token stop;
  /// When `timeout` will have passed.
  std::optional<Time> deadline;
  /// True in a host process: a crash ends this run and nothing else.
  bool isolated = false;

  /// Tells how far the run is, 0 … 1; shows in the job's record and in the feed.
  void progress(double value, std::string text = {}) const {
    if (on_progress) on_progress(value, std::move(text));
  }
  ProgressFn on_progress;
};

/// One parameter of a task, for `task.list` and help. The task itself checks its arguments.
struct TaskParameter {
  std::string name;
  std::string type;  ///< "string", "number", "integer", "boolean", "any"
  std::string description;
  bool required = false;
};

using BlockingTask = std::function<nlohmann::json(const TaskContext&, const nlohmann::json& args)>;
using CoroutineTask = std::function<boost::asio::awaitable<nlohmann::json>(const TaskContext&, const nlohmann::json& args)>;

struct Task {
  std::string name;
  std::string description;
  std::vector<TaskParameter> parameters;
  BlockingTask blocking;
  CoroutineTask coroutine;
  /// The coroutine never computes for longer than some microseconds between awaits, so it may run on the daemon's own
  /// I/O thread. For built-in tasks only.
  bool inline_coroutine = false;
  /// The blocking form never waits, reports no progress and is over within some microseconds, so the coroutine executor
  /// calls it on the I/O thread as it is: a coroutine would cost more than it does. For built-in tasks only.
  bool instant = false;

  /// The blocking form of a plug-in's task may also run on the daemon's own threads, where a crash is the daemon's end and
  /// what blocks cannot be killed. Those of built-in tasks always may.
  bool on_threads = false;
  /// The plug-in that it comes from, null for a built-in task. Set by whoever loads the plug-in.
  std::shared_ptr<const PluginFile> plugin;

  [[nodiscard]] bool runs_on(ExecutorKind kind) const {
    switch (kind) {
      case ExecutorKind::coroutine: return coroutine || instant;
      case ExecutorKind::thread: return blocking && (!plugin || on_threads);
      case ExecutorKind::process: return static_cast<bool>(blocking);
      default: return false;
    }
  }
  /// Where it can run; the first is the default: the cheapest for a built-in task, the safest for a plug-in's.
  [[nodiscard]] std::vector<ExecutorKind> executors() const {
    std::array order{ExecutorKind::coroutine, ExecutorKind::thread, ExecutorKind::process};
    if (plugin) std::swap(order.front(), order.back());
    std::vector<ExecutorKind> kinds;
    for (const ExecutorKind kind : order) {
      if (runs_on(kind)) kinds.push_back(kind);
    }
    return kinds;
  }
};

/// All tasks by name. Filled before any thread starts, read-only afterwards.
class TaskRegistry {
 public:
  void add(Task task) {
    std::string name = task.name;
    if (!tasks_.emplace(name, std::move(task)).second) throw std::logic_error("task '" + name + "' is registered twice");
  }
  [[nodiscard]] const Task* find(std::string_view name) const {
    const auto found = tasks_.find(name);
    return found == tasks_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const std::map<std::string, Task, std::less<>>& all() const { return tasks_; }

 private:
  std::map<std::string, Task, std::less<>> tasks_;
};

/// Argument `name` of `args` as T, `fallback` where it is absent; throws TaskError kind `invalid_args` that names it.
template <class T>
[[nodiscard]] T task_argument(const nlohmann::json& args, const char* name, std::optional<T> fallback = std::nullopt) {
  if (!args.is_null() && !args.is_object()) throw TaskError("invalid_args", "the arguments must be an object");
  const auto found = args.is_null() ? args.end() : args.find(name);
  if (args.is_null() || found == args.end()) {
    if (fallback) return *fallback;
    throw TaskError("invalid_args", std::string("argument '") + name + "' is missing");
  }
  // get<T>() truncates, wraps and takes booleans for numbers, so the type is looked at first.
  bool fits = false;
  if constexpr (std::is_same_v<T, bool>) {
    fits = found->is_boolean();
  } else if constexpr (std::is_integral_v<T>) {
    // Comparing two json numbers converts one to the other's signedness, so each kind is compared as what it is.
    fits = found->is_number_unsigned()  ? std::in_range<T>(found->template get<std::uint64_t>())
           : found->is_number_integer() ? std::in_range<T>(found->template get<std::int64_t>())
                                        : false;
  } else if constexpr (std::is_floating_point_v<T>) {
    fits = found->is_number();
  } else {
    fits = found->is_string();
  }
  if (!fits) throw TaskError("invalid_args", std::string("argument '") + name + "' has the wrong type or is out of range");
  return found->template get<T>();
}

}  // namespace stint
