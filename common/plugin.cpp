#include "common/plugin.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <filesystem>
#include <system_error>

#include "common/json.hpp"
#include "common/limits.hpp"
#include "common/plugin_api.hpp"

namespace stint {
namespace {

constexpr const char* entry_name = "stint_plugin";

/// Every symbol is looked up now, so that a missing one shows here and not in the middle of a task.
constexpr auto load_mode =
    static_cast<boost::dll::load_mode::type>(boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local | RTLD_NODELETE);

const std::string& path_of(const PluginFile& file) {
  std::error_code error;
  return std::filesystem::equivalent(file.path, file.held, error) || file.held.empty() ? file.path : file.held;
}

boost::dll::shared_library open_library(const std::string& path) {
  boost::dll::shared_library library;
  std::error_code error;
  library.load(path, load_mode, error);
  if (!error) return library;
  // The code says only that it did not work.
  const char* const reason = ::dlerror();
  throw PluginRefused(std::string("it cannot be loaded: ") + (reason != nullptr ? reason : error.message()));
}

std::string sizes_text(const PluginLayout& layout) {
  std::string text;
  for (const std::uint32_t size : {layout.task, layout.task_context, layout.task_registry, layout.json, layout.io_context}) {
    text += (text.empty() ? "" : ", ") + std::to_string(size);
  }
  return text;
}

void check_version(const PluginEntry& entry) {
  if (entry.abi == nullptr || std::string_view(entry.abi) != plugin_abi) {
    throw PluginRefused(std::string("it was built for another stintd: for ") + (entry.abi != nullptr ? entry.abi : "none") +
                        "; this one has " + plugin_abi);
  }
  if (entry.layout != PluginLayout{}) {
    throw PluginRefused("it was compiled with other macros, which change what the daemon shares with it: its types have sizes " +
                        sizes_text(entry.layout) + "; this stintd's have " + sizes_text({}));
  }
}

void check_text(const std::string& what, const std::string& text, std::size_t bytes_max) {
  if (text.size() > bytes_max) throw PluginRefused(what + " has more than " + std::to_string(bytes_max) + " bytes");
  if (json::to_utf8(text) != text) throw PluginRefused(what + " is not UTF-8");
}

void check_task(const Task& task) {
  if (task.name.empty()) throw PluginRefused("it has a task without a name");
  check_text("the name of a task", task.name, limits::name_bytes_max);
  const std::string its = "task '" + task.name + "'";
  check_text("the description of " + its, task.description, limits::task_description_bytes_max);
  if (task.parameters.size() > limits::task_parameters_max) {
    throw PluginRefused(its + " describes more than " + std::to_string(limits::task_parameters_max) + " parameters");
  }
  for (const TaskParameter& parameter : task.parameters) {
    check_text("the name of a parameter of " + its, parameter.name, limits::name_bytes_max);
    check_text("the type of a parameter of " + its, parameter.type, limits::name_bytes_max);
    check_text("the description of a parameter of " + its, parameter.description, limits::task_description_bytes_max);
  }
  if (!task.blocking && !task.coroutine) throw PluginRefused(its + " has neither a blocking form nor a coroutine");
  if (task.on_threads && !task.blocking) throw PluginRefused(its + " has no blocking form, so it cannot run on threads");
  if (task.inline_coroutine || task.instant) {
    throw PluginRefused(its + " wants to run on the daemon's I/O thread, which is for built-in tasks only");
  }
}

TaskRegistry registered_by(const PluginEntry& entry) {
  TaskRegistry registry;
  try {
    entry.register_tasks(registry);
  } catch (const std::exception& error) {
    throw PluginRefused(std::string("the registration of its tasks failed: ") + error.what());
  } catch (...) {
    throw PluginRefused("the registration of its tasks threw something that is no std::exception");
  }
  return registry;
}

}  // namespace

LoadedPlugin load_plugin(const std::shared_ptr<const PluginFile>& file) {
  const boost::dll::shared_library library = open_library(path_of(*file));
  if (!library.has(entry_name)) {
    throw PluginRefused(std::string("it is no plug-in of stint: it has no '") + entry_name + "', which STINT_PLUGIN makes");
  }
  LoadedPlugin plugin;
  plugin.entry = &library.get<const PluginEntry>(entry_name);
  check_version(*plugin.entry);
  const TaskRegistry registered = registered_by(*plugin.entry);
  for (const auto& [name, task] : registered.all()) {
    check_task(task);
    plugin.tasks.push_back(task);
    plugin.tasks.back().plugin = file;
  }
  if (plugin.tasks.empty()) throw PluginRefused("it registers no task");
  if (plugin.tasks.size() > limits::plugin_tasks_max) {
    throw PluginRefused("it registers more than " + std::to_string(limits::plugin_tasks_max) + " tasks");
  }
  return plugin;
}

}  // namespace stint
