// The list of built-in tasks.
#include "daemon/tasks/builtin.hpp"

namespace stint::tasks {

void register_builtin_tasks(TaskRegistry& registry) {
  registry.add(sleep_task());
  registry.add(echo_task());
  registry.add(fail_task());
  registry.add(digest_task());
  registry.add(spin_task());
  registry.add(http_task());
}

}  // namespace stint::tasks
