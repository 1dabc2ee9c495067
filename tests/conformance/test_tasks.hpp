// Tasks that behave badly in a known way, for tests; registered beside the built-in ones.
#pragma once

#include "common/task_api.hpp"

namespace stint::test {

/// `stubborn {seconds}` never looks at its token; `produce {bytes}` has a result of so many bytes as JSON; `report`
/// reports 0.25 and then 0.5; `flood {reports}` reports in a tight loop; `deep {levels}` nests its result; `exit` ends
/// its process; `odd` throws an int. Where `on_io` their coroutines run on the daemon's own context; where not
/// `instant` all have one.
void register_test_tasks(TaskRegistry& registry, bool on_io, bool instant);

}  // namespace stint::test
