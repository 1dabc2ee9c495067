// Looks at a plug-in from outside: loads it in a process of its own, so that one that crashes, hangs or leaves while it is
// loaded harms nobody.
//
// Before the daemon has threads. Throws Error `unavailable` where no process can be started.
#pragma once

#include <chrono>
#include <string>

#include "common/plugin_file.hpp"
#include "common/task_info.hpp"

namespace stint::exec {

/// Starts `program` (stint-worker) and waits for what it tells of the plug-in, `load_max` at most. A process that tells nothing
/// is a reason to refuse the plug-in, which the report then has.
[[nodiscard]] PluginReport probe_plugin(const std::string& program, const PluginFile& file, std::chrono::milliseconds load_max);

}  // namespace stint::exec
