#include "daemon/worker/process_setup.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace stint::worker {

void reset_signals(std::initializer_list<int> more) {
  struct sigaction normal {};
  normal.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction present {};
    if (::sigaction(signal, nullptr, &present) == 0 && present.sa_handler == SIG_IGN) ::sigaction(signal, &normal, nullptr);
  }
  sigset_t mask;
  ::sigemptyset(&mask);
  for (const int signal : {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::sigaddset(&mask, signal);
  for (const int signal : more) ::sigaddset(&mask, signal);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
}

void become_subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

void say(std::string_view message) {
  const std::string line = "stint-worker: " + std::string(message) + "\n";
  // Nobody to tell where even this fails.
  static_cast<void>(::write(STDERR_FILENO, line.data(), line.size()) < 0);
}

UniqueFd child_signal_fd() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGCHLD);
  UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw std::system_error(errno, std::generic_category(), "signalfd");
  return fd;
}

}  // namespace stint::worker
