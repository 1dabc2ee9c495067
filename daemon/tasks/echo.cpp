// echo: gives its arguments back. The least that a task can do, so also the measure of what a job costs.
//
// The coroutine form never awaits. Throws nothing but bad_alloc.
#include "daemon/tasks/builtin.hpp"

namespace stint::tasks {

Task echo_task() {
  Task task;
  task.name = "echo";
  task.description = "gives its arguments back";
  task.blocking = [](const TaskContext&, const nlohmann::json& args) { return args; };
  task.coroutine = [](const TaskContext&, const nlohmann::json& args) -> boost::asio::awaitable<nlohmann::json> {
    co_return args;
  };
  task.inline_coroutine = true;
  return task;
}

}  // namespace stint::tasks
