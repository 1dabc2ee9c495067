#include "daemon/exec/plugin_probe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/limits.hpp"
#include "common/protocol.hpp"
#include "common/unique_fd.hpp"

namespace stint::exec {
namespace {

using Clock = std::chrono::steady_clock;

/// Where the probe finds its end of the pipe.
constexpr int report_fd = 3;
/// The tasks of the largest plug-in, escaped.
constexpr std::size_t report_bytes_max = limits::line_bytes_max;

class Probe {
 public:
  Probe(const std::string& program, const PluginFile& file);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  /// What it wrote, up to the end of its line, of the pipe or of the time.
  std::string read(Clock::time_point until);
  /// Why a process that told nothing did not; nothing where it is still at it.
  std::optional<std::string> death(Clock::time_point until);

 private:
  /// False when the time is over.
  static bool wait(int fd, Clock::time_point until);

  pid_t pid_ = -1;
  UniqueFd process_;
  UniqueFd report_;
};

[[noreturn]] void throw_unavailable(const std::string& what, int error) {
  throw unavailable(what + ": " + std::strerror(error), "plug-ins");
}

Probe::Probe(const std::string& program, const PluginFile& file) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_unavailable("cannot make a pipe", errno);
  report_.reset(ends[0]);
  const UniqueFd theirs(ends[1]);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  // What a constructor prints is for the log, as what it prints in a host is.
  ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), report_fd);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, report_fd + 1);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t signals;
  ::sigfillset(&signals);
  ::posix_spawnattr_setsigdefault(&attributes, &signals);
  ::sigemptyset(&signals);
  ::posix_spawnattr_setsigmask(&attributes, &signals);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

  std::array<std::string, 4> words{program, "plugin", file.path, file.held};
  std::array<char*, 5> argv{words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
  const int error = ::posix_spawn(&pid_, program.c_str(), &actions, &attributes, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) throw_unavailable("cannot start the worker program " + program, error);
  process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

Probe::~Probe() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool Probe::wait(int fd, Clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd readable{fd, POLLIN, 0};
    const int count = left > 0 ? ::poll(&readable, 1, static_cast<int>(left)) : 0;
    if (count >= 0 || errno != EINTR) return count > 0;
  }
}

std::string Probe::read(Clock::time_point until) {
  std::string text;
  std::array<char, 4'096> buffer{};
  while (text.size() < report_bytes_max && !text.ends_with('\n') && wait(report_.get(), until)) {
    const ssize_t got = ::read(report_.get(), buffer.data(), buffer.size());
    if (got == 0 || (got < 0 && errno != EINTR)) break;
    if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::optional<std::string> Probe::death(Clock::time_point until) {
  if (!process_ || !wait(process_.get(), until)) return std::nullopt;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) return "crashed: it was killed by " + protocol::signal_name(WTERMSIG(status));
  return "ended the process, with exit status " + std::to_string(WEXITSTATUS(status));
}

PluginReport refused(std::string why) { return {{}, std::move(why)}; }

}  // namespace

PluginReport probe_plugin(const std::string& program, const PluginFile& file, std::chrono::milliseconds load_max) {
  const Clock::time_point until = Clock::now() + load_max;
  Probe probe(program, file);
  const std::string text = probe.read(until);
  if (text.ends_with('\n')) {
    try {
      json::Parser parser;
      return json::decode<PluginReport>(parser.parse_copy(text));
    } catch (const Error& error) {
      return refused("what it says of itself cannot be read: " + error.message());
    }
  }
  const auto death = probe.death(until);
  return refused("while it was loaded it " +
                 death.value_or("did not come to an end within " + std::to_string(load_max.count()) + " ms"));
}

}  // namespace stint::exec
