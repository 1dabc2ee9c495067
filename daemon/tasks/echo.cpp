// echo: gives its arguments back. The least that a task can do, so also the measure of what a job costs.
//
// Throws nothing but bad_alloc.
#include "daemon/tasks/builtin.hpp"

namespace stint::tasks {

Task echo_task() {
  Task task;
  task.name = "echo";
  task.description = "gives its arguments back";
  task.blocking = [](const TaskContext&, const nlohmann::json& args) { return args; };
  task.instant = true;
  return task;
}

}  // namespace stint::tasks
