// Loading a plug-in: a shared object with tasks (plugin_api.hpp).
//
// Its constructors run inside `load_plugin`, so whoever loads one must be able to afford that it crashes or hangs: the probe
// and the hosts, and the daemon only where tasks are to run in the daemon itself. Whether the file can be trusted is not looked
// at here. A plug-in is never unloaded, because threads of its own may be at work. Any thread, one at a time.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/task_api.hpp"

namespace stint {

struct PluginEntry;

/// Why a plug-in is refused: a sentence that does not name the file.
class PluginRefused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct LoadedPlugin {
  std::vector<Task> tasks;  ///< by name; each has `plugin` set and is as the registry may have it
  const PluginEntry* entry = nullptr;
};

/// Loads the file at `path` or, where another one lies there by now, the one that `held` leads to. Throws PluginRefused.
[[nodiscard]] LoadedPlugin load_plugin(const std::shared_ptr<const PluginFile>& file);

}  // namespace stint
