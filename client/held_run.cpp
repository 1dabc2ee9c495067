#include "client/held_run.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "client/interrupts.hpp"
#include "client/record.hpp"
#include "client/session.hpp"
#include "client/terminal.hpp"
#include "common/unique_fd.hpp"

namespace stint::cli {
namespace {

constexpr const char* owner_variable = "STINT_OWNER";
constexpr int not_executable = 126;
constexpr int not_found = 127;

class Child {
 public:
  explicit Child(const std::vector<std::string>& command, const std::string& owner) {
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw Failure(exit_code::not_finished, std::string("cannot start a process: ") + std::strerror(errno));
    if (pid_ == 0) {
      // Where we are killed, the lease is gone at once: what needs it must not go on.
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (::getppid() != parent) ::_exit(exit_code::not_finished);
      ::setenv(owner_variable, owner.c_str(), 1);
      ::signal(SIGPIPE, SIG_DFL);
      ::execvp(arguments[0], arguments.data());
      const int why = errno;
      note("cannot run " + printable(command.front()) + ": " + std::strerror(why));
      ::_exit(why == ENOENT ? not_found : not_executable);
    }
    watch_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!watch_) throw Failure(exit_code::not_finished, std::string("cannot watch the process: ") + std::strerror(errno));
  }

  [[nodiscard]] int fd() const { return watch_.get(); }
  void signal(int number) const { ::kill(pid_, number); }
  [[nodiscard]] int exit_code() const {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

 private:
  pid_t pid_ = -1;
  UniqueFd watch_;
};

}  // namespace

std::string lease_owner() {
  if (const char* inherited = std::getenv(owner_variable); inherited != nullptr && *inherited != '\0') return inherited;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return "process " + std::to_string(::getpid()) + " of " + std::to_string(now.tv_sec);
}

int run_holding(Connection connection, HeldRun run) {
  const std::string owner = run.params.value("owner", std::string());
  Interrupts interrupts;
  Session session(std::move(connection), exit_code::no_daemon, interrupts);
  std::array<pollfd, 2> others{pollfd{interrupts.fd(), POLLIN, 0}, pollfd{-1, POLLIN, 0}};

  std::optional<nlohmann::json> lease;
  session.connection.request(run.method, run.params.dump(), [&lease](nlohmann::json granted) { lease = std::move(granted); });
  while (!lease) {
    session.connection.pump(std::span(others).first(1));
    if (const auto number = interrupts.take()) return 128 + *number;
  }

  const Child child(run.command, owner);
  others[1].fd = child.fd();
  bool lost = false;
  while (others[1].revents == 0) {
    try {
      if (lost) {
        ::poll(others.data(), others.size(), -1);
      } else {
        session.connection.pump(others);
      }
    } catch (const ConnectionLost&) {
      try {
        session.recover();
        session.connection.call("lease.resume", lease->dump());
      } catch (const Failure& failure) {
        note(std::string("the lease could not be taken up again, others may have it: ") + failure.what());
        lost = true;
      }
    }
    // From a terminal the program has it already.
    while (const auto number = interrupts.take()) {
      if (*number != SIGINT) child.signal(*number);
    }
  }
  const int code = child.exit_code();
  if (lost) return exit_code::not_finished;
  try {
    const std::string release = run.method.substr(0, run.method.find('.')) + ".release";
    session.connection.call(release, nlohmann::json{{"lease", lease->at("lease")}}.dump());
  } catch (const ConnectionLost&) {
    // It ends with the connection.
  }
  return code;
}

}  // namespace stint::cli
