// The probe: loads one plug-in in a process of its own and tells the daemon what it found.
//
// Its report is one line of JSON (common/task_info.hpp, PluginReport) on descriptor 3. A crash, an exit or a loading without an
// end is the plug-in's, and the daemon's to notice.
#pragma once

#include <string>

namespace stint::worker {

/// Ends the process.
[[noreturn]] void plugin_probe_main(const std::string& path, const std::string& held);

}  // namespace stint::worker
