#include "daemon/worker/plugin_probe.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "common/plugin.hpp"
#include "common/task_info.hpp"

namespace stint::worker {
namespace {

constexpr int report_fd = 3;

PluginReport report_on(const std::string& path, const std::string& held) {
  PluginReport report;
  try {
    for (const Task& task : load_plugin(std::make_shared<const PluginFile>(PluginFile{path, held})).tasks) {
      report.tasks.push_back(describe_task(task));
    }
  } catch (const PluginRefused& refused) {
    report.refused = json::to_utf8(refused.what());
  }
  return report;
}

bool write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::write(report_fd, text.data(), text.size());
    if (sent < 0 && errno != EINTR) return false;
    if (sent > 0) text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

}  // namespace

void plugin_probe_main(const std::string& path, const std::string& held) {
  constexpr rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_NAME, "stint-probe");
  // The daemon may die while a plug-in does not come to an end.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const bool written = write_all(json::encode_text(report_on(path, held)) + "\n");
  // Destructors and threads of the plug-in have nothing left to do.
  ::_exit(written ? 0 : 1);
}

}  // namespace stint::worker
