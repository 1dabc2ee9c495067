// What is told of a task: the answer of task.list, and what the probe of a plug-in reports to the daemon. Values only.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "common/job.hpp"
#include "common/json_map.hpp"
#include "common/task_api.hpp"

namespace stint {

struct TaskParameterInfo {
  std::string name;
  std::string type;
  std::string description;
  bool required = false;
  bool operator==(const TaskParameterInfo&) const = default;
  static constexpr auto fields() {
    using T = TaskParameterInfo;
    return std::tuple{json::required("name", &T::name, "its name"),
                      json::required("type", &T::type, "`string`, `number`, `integer`, `boolean`, `any`"),
                      json::required("description", &T::description, "what it means"),
                      json::required("required", &T::required, "it must be given")};
  }
};

struct TaskInfo {
  std::string name;
  std::string description;
  std::vector<ExecutorKind> executors;
  std::vector<TaskParameterInfo> parameters;
  std::optional<std::string> plugin;
  bool operator==(const TaskInfo&) const = default;
  static constexpr auto fields() {
    using T = TaskInfo;
    return std::tuple{json::required("name", &T::name, "its name"),
                      json::required("description", &T::description, "what it does"),
                      json::required("executors", &T::executors, "where it runs; the first is the default"),
                      json::required("parameters", &T::parameters, "its arguments"),
                      json::optional("plugin", &T::plugin, "the file name of the plug-in that it comes from; absent: built in")};
  }
};

struct TaskListAnswer {
  std::vector<TaskInfo> tasks;
  bool operator==(const TaskListAnswer&) const = default;
  static constexpr auto fields() { return std::tuple{json::required("tasks", &TaskListAnswer::tasks, "by name")}; }
};

/// What a probe tells of its plug-in: its tasks, or why it is refused.
struct PluginReport {
  std::vector<TaskInfo> tasks;
  std::optional<std::string> refused;
  bool operator==(const PluginReport&) const = default;
  static constexpr auto fields() {
    using T = PluginReport;
    return std::tuple{json::required("tasks", &T::tasks, "its tasks"),
                      json::optional("refused", &T::refused, "why it is not used")};
  }
};

/// The last part of a path.
[[nodiscard]] inline std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

[[nodiscard]] inline TaskInfo describe_task(const Task& task) {
  TaskInfo info{task.name, task.description, task.executors(), {}, {}};
  for (const TaskParameter& one : task.parameters) info.parameters.push_back({one.name, one.type, one.description, one.required});
  if (task.plugin) info.plugin = file_name(task.plugin->path);
  return info;
}

}  // namespace stint
