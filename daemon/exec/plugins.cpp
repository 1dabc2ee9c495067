#include "daemon/exec/plugins.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <system_error>

#include "common/plugin.hpp"
#include "common/plugin_api.hpp"
#include "common/trusted_path.hpp"
#include "daemon/exec/plugin_probe.hpp"

namespace stint::exec {
namespace {

std::vector<std::filesystem::path> list(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".so") found.push_back(at->path());
  }
  if (error)
    throw unavailable("cannot read the directory of plug-ins, " + directory.string() + ": " + error.message(), "plug-ins");
  std::ranges::sort(found);
  return found;
}

bool wants_the_daemon(const TaskInfo& task) {
  return std::ranges::any_of(task.executors, [](ExecutorKind kind) { return kind != ExecutorKind::process; });
}

/// A task that runs in hosts only is known here by what its probe has told; its code is never in this process.
Task task_of_hosts(TaskInfo info, std::shared_ptr<const PluginFile> file) {
  Task task;
  task.name = std::move(info.name);
  task.description = std::move(info.description);
  for (TaskParameterInfo& one : info.parameters) {
    task.parameters.push_back({std::move(one.name), std::move(one.type), std::move(one.description), one.required});
  }
  task.blocking = [](const TaskContext&, const nlohmann::json&) -> nlohmann::json {
    throw TaskError("unknown_task", "this task runs in host processes only");
  };
  task.plugin = std::move(file);
  return task;
}

bool shares_asio(const PluginEntry& entry) {
  boost::asio::io_context io{1};
  bool shares = false;
  boost::asio::post(io, [&] { shares = entry.shares_asio(io); });
  io.run();
  return shares;
}

std::vector<Task> load_here(const std::shared_ptr<const PluginFile>& file) {
  LoadedPlugin plugin = load_plugin(file);
  const bool has_coroutines =
      std::ranges::any_of(plugin.tasks, [](const Task& task) { return static_cast<bool>(task.coroutine); });
  if (has_coroutines && !shares_asio(*plugin.entry)) {
    throw PluginRefused(
        "it has coroutine tasks and was linked with its Asio hidden, for example by a version script: Asio would not "
        "know the daemon's threads");
  }
  return std::move(plugin.tasks);
}

void check_names(const std::vector<Task>& fresh, const TaskRegistry& tasks) {
  for (const Task& task : fresh) {
    const Task* const other = tasks.find(task.name);
    if (other == nullptr) continue;
    throw PluginRefused("its task '" + task.name + "' has the name of " +
                        (other->plugin ? "one of " + file_name(other->plugin->path) : "a built-in one"));
  }
}

}  // namespace

std::optional<std::string> why_no_plugin_directory(const std::filesystem::path& directory) {
  std::error_code error;
  const auto status = std::filesystem::status(directory, error);
  if (error) return directory.string() + ": " + error.message();
  if (!std::filesystem::is_directory(status)) return directory.string() + " is not a directory";
  return why_untrusted(directory, ::geteuid());
}

Plugins::Plugins(const PluginOptions& options, TaskRegistry& tasks) {
  if (auto why = why_no_plugin_directory(options.directory)) throw unavailable(std::move(*why), "plug-ins");
  for (const std::filesystem::path& path : list(options.directory)) {
    PluginState state{path.string(), {}, {}};
    try {
      if (states_.size() >= limits::plugins_max) {
        throw PluginRefused("the directory has more than " + std::to_string(limits::plugins_max) + " plug-ins");
      }
      state.tasks = add(path, options, tasks);
    } catch (const PluginRefused& refused) {
      state.refused = refused.what();
    }
    states_.push_back(std::move(state));
  }
}

std::vector<std::string> Plugins::add(const std::filesystem::path& path, const PluginOptions& options, TaskRegistry& tasks) {
  const auto file = hold(path);
  PluginReport report = probe_plugin(options.worker_program, *file, options.load_max);
  if (report.refused) throw PluginRefused(*report.refused);
  const bool wanted_here = std::ranges::any_of(report.tasks, wants_the_daemon);

  std::vector<Task> fresh;
  for (TaskInfo& info : report.tasks) fresh.push_back(task_of_hosts(std::move(info), file));
  check_names(fresh, tasks);
  if (wanted_here) {
    fresh = load_here(file);
    check_names(fresh, tasks);
  }
  std::vector<std::string> names;
  for (Task& task : fresh) {
    names.push_back(task.name);
    tasks.add(std::move(task));
  }
  return names;
}

std::shared_ptr<const PluginFile> Plugins::hold(const std::filesystem::path& path) {
  if (auto why = why_untrusted(path, ::geteuid())) throw PluginRefused(*why);
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  // Whatever it is, opening it must not wait.
  UniqueFd fd(error ? -1 : ::open(real.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!fd) throw PluginRefused("it cannot be opened: " + std::generic_category().message(error ? error.value() : errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) throw PluginRefused("it is not a regular file");
  auto file = std::make_shared<const PluginFile>(
      PluginFile{real.string(), "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd.get())});
  held_.push_back(std::move(fd));
  return file;
}

}  // namespace stint::exec
