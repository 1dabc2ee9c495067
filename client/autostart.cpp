#include "client/autostart.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "client/client_config.hpp"
#include "client/connect.hpp"
#include "client/terminal.hpp"
#include "common/protocol.hpp"
#include "common/socket_paths.hpp"

namespace stint::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds ready_time{10};
constexpr int ready_step_ms = 10;
constexpr int taken_pause_ms = 50;  // before another daemon is tried where one that answers nobody has the state directory
constexpr std::chrono::seconds complaint_time{3};
constexpr std::size_t log_tail_bytes = 4096;

std::vector<std::string> daemon_arguments() { return {"stintd", "--set", "log.target=file"}; }

[[noreturn]] void fail(const std::string& what) {
  throw Failure(exit_code::no_daemon, "cannot start a personal daemon: " + what);
}

/// `stintd` beside this program, else in PATH.
fs::path find_daemon() {
  std::error_code error;
  fs::path beside = fs::read_symlink("/proc/self/exe", error).parent_path() / "stintd";
  if (!error && ::access(beside.c_str(), X_OK) == 0) return beside;
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/local/bin:/usr/bin";
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    fs::path found = fs::path(rest.substr(0, colon)) / "stintd";
    if (found.is_absolute() && ::access(found.c_str(), X_OK) == 0) return found;
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
  }
  fail("there is no stintd beside stint nor in PATH");
}

/// The daemon outlives this terminal: it gets what finds files and names a language, not the rest of a session.
std::vector<std::string> daemon_environment() {
  constexpr std::array<std::string_view, 9> names{"PATH", "HOME", "USER",   "LOGNAME",        "SHELL",
                                                  "LANG", "TZ",   "TMPDIR", "LD_LIBRARY_PATH"};
  constexpr std::array<std::string_view, 3> prefixes{"LC_", "XDG_", "STINTD_"};
  std::vector<std::string> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view pair(*entry);
    const std::string_view name = pair.substr(0, pair.find('='));
    bool keep = std::find(names.begin(), names.end(), name) != names.end();
    for (const auto prefix : prefixes) keep = keep || name.starts_with(prefix);
    // After su it may still name another user's directory, where the daemon could make nothing.
    if (name == "XDG_RUNTIME_DIR" && !default_socket_path().native().starts_with(pair.substr(name.size() + 1))) keep = false;
    if (keep) kept.emplace_back(pair);
  }
  return kept;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (auto& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

/// Attributes and file actions of posix_spawn: own session, default signals, standard descriptors only, cwd `/`.
class SpawnPlan {
 public:
  explicit SpawnPlan(int error_fd) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, STDIN_FILENO, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, error_fd, STDERR_FILENO);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    ::posix_spawn_file_actions_addchdir_np(&actions_, "/");
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    sigset_t set{};
    ::sigfillset(&set);
    ::posix_spawnattr_setsigdefault(&attributes_, &set);
    ::sigemptyset(&set);
    ::posix_spawnattr_setsigmask(&attributes_, &set);
  }
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  [[nodiscard]] pid_t spawn(const fs::path& program, std::vector<std::string> arguments) const {
    auto environment = daemon_environment();
    const auto argv = pointers(arguments);
    const auto envp = pointers(environment);
    pid_t pid = -1;
    const mode_t old_mask = ::umask(077);
    const int error = ::posix_spawn(&pid, program.c_str(), &actions_, &attributes_, argv.data(), envp.data());
    ::umask(old_mask);
    if (error != 0) fail(program.string() + ": " + std::strerror(error));
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

std::string read_from(const fs::path& path, std::uint64_t offset) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.size() > log_tail_bytes) text.erase(0, text.find('\n', text.size() - log_tail_bytes) + 1);
  return text;
}

/// What a daemon that ended before it had a log says on its standard error, which was /dev/null: it is started once more
/// with one that we read. If it now stays, it is stopped: it would have lost its error stream with us.
std::string early_complaint(const fs::path& program) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t pid = SpawnPlan(write_end.get()).spawn(program, daemon_arguments());
  write_end.reset();
  std::string text;
  std::array<char, log_tail_bytes> buffer{};
  const auto deadline = Clock::now() + complaint_time;
  while (text.size() < log_tail_bytes && Clock::now() < deadline) {
    pollfd readable{read_end.get(), POLLIN, 0};
    if (::poll(&readable, 1, ready_step_ms) <= 0) continue;
    const ssize_t got = ::read(read_end.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::kill(pid, SIGTERM);
  ::waitpid(pid, nullptr, 0);
  return text;
}

UniqueFd open_process(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

std::string ending_text(int status) {
  if (WIFSIGNALED(status)) return "died of " + protocol::signal_name(WTERMSIG(status));
  return "exited with code " + std::to_string(WEXITSTATUS(status));
}

[[noreturn]] void throw_died(const fs::path& program, int status, const fs::path& log, std::uint64_t log_start) {
  std::string reason = read_from(log, log_start);
  const bool configuration = WIFEXITED(status) && WEXITSTATUS(status) == exit_code::bad_config;
  if (reason.empty()) reason = early_complaint(program);
  while (reason.ends_with('\n')) reason.pop_back();
  std::string text = "the daemon that was started " + ending_text(status);
  if (!reason.empty()) text += ":\n" + reason;
  if (configuration) throw Failure(exit_code::bad_config, std::move(text));
  throw Failure(exit_code::no_daemon, std::move(text) + "\n(log: " + log.string() + ")");
}

/// The daemon found its state directory taken.
bool found_it_taken(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == exit_code::try_again; }

/// Held while one CLI starts a daemon, so that a second one waits and then finds it.
UniqueFd lock_start(const fs::path& directory) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) fail(directory.string() + ": " + std::strerror(errno));
  if (const auto fault = directory_fault(directory); !fault.empty()) fail(directory.string() + " " + fault);
  const fs::path path = directory / "start.lock";
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) fail(path.string() + ": " + std::strerror(errno));
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) fail(path.string() + ": " + std::strerror(errno));
  }
  return lock;
}

/// The personal daemon, where its default socket is or where the lock of its state directory says.
std::optional<Connection> find_running() {
  std::string why;
  auto found = try_connect({default_socket_path(), "personal", true}, why);
  if (found) return found;
  const auto named = locked_socket_path(default_state_dir());
  return named ? try_connect({*named, "personal"}, why) : std::nullopt;
}

}  // namespace

bool autostart_allowed() { return load_client_config(client_config_path()).autostart; }

Connection start_daemon(Connection::Start start) {
  const UniqueFd lock = lock_start(default_socket_path().parent_path());
  const auto use = [start](Connection found) {
    found.allow_start(start);
    return found;
  };
  if (auto found = find_running()) return use(std::move(*found));

  const fs::path program = find_daemon();
  const fs::path log = state_log_path(default_state_dir());
  std::error_code no_log;
  const auto log_size = fs::file_size(log, no_log);
  const std::uint64_t log_start = no_log ? 0 : log_size;
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto deadline = Clock::now() + ready_time;
  pid_t pid = SpawnPlan(null.get()).spawn(program, daemon_arguments());
  UniqueFd process = open_process(pid);

  while (Clock::now() < deadline) {
    if (auto found = find_running()) {
      if (start == Connection::Start::told)
        note("started a personal daemon (pid " + std::to_string(pid) + ", log " + log.string() +
             "; stop it with: stint shutdown)");
      return use(std::move(*found));
    }
    pollfd ended{process.get(), POLLIN, 0};
    ::poll(&ended, 1, ready_step_ms);
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) != pid) continue;
    // It may have found its state directory taken by a daemon that listens elsewhere, or by one that is about to be gone.
    if (auto found = find_running()) return use(std::move(*found));
    if (!found_it_taken(status) || Clock::now() >= deadline) throw_died(program, status, log, log_start);
    ::poll(nullptr, 0, taken_pause_ms);
    pid = SpawnPlan(null.get()).spawn(program, daemon_arguments());
    process = open_process(pid);
  }
  fail("it did not listen on " + default_socket_path().string() + " within 10 s (pid " + std::to_string(pid) + ", log " +
       log.string() + ")");
}

}  // namespace stint::cli
