// The tasks that every daemon has: sleep, echo, fail, digest, spin, http.
//
// They use common/task_api alone, as any author's tasks do, and serve as its examples. Filled in before any thread
// starts; throws std::logic_error where a name is taken.
#pragma once

#include "common/task_api.hpp"

namespace stint::tasks {

[[nodiscard]] Task sleep_task();
[[nodiscard]] Task echo_task();
[[nodiscard]] Task fail_task();
[[nodiscard]] Task digest_task();
[[nodiscard]] Task spin_task();
[[nodiscard]] Task http_task();

void register_builtin_tasks(TaskRegistry& registry);

}  // namespace stint::tasks
