#include "daemon/worker/children.hpp"

#include <sys/wait.h>

#include <cerrno>

namespace stint::worker {

std::optional<ChildExit> reap_child() {
  ChildExit exit;
  for (;;) {
    exit.pid = ::wait4(-1, &exit.status, WNOHANG, &exit.usage);
    if (exit.pid > 0) return exit;
    if (exit.pid == 0 || errno != EINTR) return std::nullopt;
  }
}

bool orphans_alive() {
  for (;;) {
    const pid_t pid = ::wait4(-1, nullptr, WNOHANG | __WNOTHREAD, nullptr);
    if (pid == 0) return true;
    if (pid < 0 && errno != EINTR) return false;
  }
}

}  // namespace stint::worker
