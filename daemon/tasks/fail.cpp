// fail: fails as it is told to; for tests of what happens to failures, and to those beside them.
//
// Always throws TaskError, or dies of SIGSEGV where `crash` is true and only a host process is lost by it.
#include <csignal>

#include "daemon/tasks/builtin.hpp"

namespace stint::tasks {
namespace {

[[noreturn]] void fail(const TaskContext& context, const nlohmann::json& args) {
  const auto message = task_argument<std::string>(args, "message", "the task failed as it was asked to");
  const auto kind = task_argument<std::string>(args, "kind", "failed");
  if (task_argument<bool>(args, "crash", false)) {
    if (!context.isolated)
      throw TaskError("invalid_args", "'crash' is only for executor \"process\": elsewhere it would end the daemon");
    // A sanitizer's own handler would make an exit of it.
    std::signal(SIGSEGV, SIG_DFL);
    std::raise(SIGSEGV);
  }
  throw TaskError(kind, message);
}

}  // namespace

Task fail_task() {
  Task task;
  task.name = "fail";
  task.description = "fails, with a message and a kind of your choice, or by a crash";
  task.parameters = {{"message", "string", "the error's message", false},
                     {"kind", "string", "the error's kind; default failed", false},
                     {"crash", "boolean", "die of SIGSEGV instead; executor process only", false}};
  task.blocking = [](const TaskContext& context, const nlohmann::json& args) -> nlohmann::json { fail(context, args); };
  task.instant = true;
  return task;
}

}  // namespace stint::tasks
