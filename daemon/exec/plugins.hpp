// The plug-ins of this daemon: which there are, which of them are refused and why, and their tasks for the registry.
//
// A file that can be trusted is opened once and held, so that what a host loads an hour later is what was looked at here. Each is
// loaded by a probe, in a process of its own, and by the daemon itself only where a task wants its threads or coroutines. A bad
// plug-in is refused as a whole, and the others are used. To be constructed before the daemon has threads; read-only
// afterwards. The constructor throws Error `unavailable`.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/limits.hpp"
#include "common/task_api.hpp"
#include "common/task_info.hpp"
#include "common/unique_fd.hpp"

namespace stint::exec {

/// Why this directory cannot hold plug-ins, as a sentence; nothing where it can.
[[nodiscard]] std::optional<std::string> why_no_plugin_directory(const std::filesystem::path& directory);

/// One file of the directory, for `daemon.info`.
struct PluginState {
  std::string file;
  std::vector<std::string> tasks;      ///< none where it is refused
  std::optional<std::string> refused;  ///< why
};

struct PluginOptions {
  std::filesystem::path directory;
  std::string worker_program;  ///< stint-worker
  std::chrono::milliseconds load_max{static_cast<std::int64_t>(limits::plugin_load_seconds_max * 1e3)};
};

class Plugins {
 public:
  /// No plug-ins.
  Plugins() = default;
  /// Looks at each file `*.so` of the directory, in the order of their names, and adds the tasks of those that are good to
  /// `tasks`. A task whose name is taken, by a task that stands there or by one of an earlier plug-in, makes its plug-in a bad
  /// one.
  Plugins(const PluginOptions& options, TaskRegistry& tasks);

  [[nodiscard]] const std::vector<PluginState>& states() const { return states_; }

 private:
  /// The names of its tasks. Throws PluginRefused.
  std::vector<std::string> add(const std::filesystem::path& path, const PluginOptions& options, TaskRegistry& tasks);
  [[nodiscard]] std::shared_ptr<const PluginFile> hold(const std::filesystem::path& path);

  std::vector<UniqueFd> held_;
  std::vector<PluginState> states_;
};

}  // namespace stint::exec
