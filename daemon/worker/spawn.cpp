#include "daemon/worker/spawn.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "common/slot_file.hpp"
#include "daemon/worker/clone_child.hpp"

namespace stint::worker {

class Launch {
 public:
  enum class Step : std::uint8_t { none, session, open_files, descriptors, directory, exec };

  /// What the child reads, and where it says what failed. Nothing in it needs a call.
  struct Args {
    const char* program = nullptr;
    char* const* argv = nullptr;
    char* const* envp = nullptr;
    const char* cwd = nullptr;
    bool cwd_given = false;
    mode_t umask = 0;
    const rlimit* open_files = nullptr;
    int fds[3] = {};         // NOLINT(*-avoid-c-arrays): the child calls nothing
    std::uint64_t mask = 0;  // of signals, as the kernel has it
    volatile Step failed_step = Step::none;
    volatile int error = 0;
  };

  /// The child's pid, or -1 with errno.
  [[nodiscard]] pid_t start(SpawnPlan plan, std::string path, const std::array<int, 3>& fds);
  [[nodiscard]] bool is_through() const { return !stack_.is_in_use(); }
  [[nodiscard]] std::optional<SpawnFailure> failure() const;

 private:
  SpawnPlan plan_;
  std::string path_;
  std::vector<char*> argv_;
  std::vector<char*> envp_;
  Args args_;
  ChildStack stack_;
};

namespace {

constexpr int exit_not_executable = 126;
constexpr int exit_not_found = 127;

using Step = Launch::Step;

/// Stacks that are kept for what is spawned next.
constexpr std::size_t spares_max = 16;

STINT_CHILD_CODE int child_main(void* argument) {
  auto* const args = static_cast<Launch::Args*>(argument);
  Step step = Step::session;
  long result = child_syscall(SYS_setsid);
  if (result >= 0 && args->open_files != nullptr) {
    step = Step::open_files;
    result = child_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, reinterpret_cast<long>(args->open_files));
  }
  child_syscall(SYS_umask, args->umask);
  for (int target = 0; target < 3 && result >= 0; ++target) {
    step = Step::descriptors;
    result = child_syscall(SYS_dup3, args->fds[target], target);
  }
  if (result >= 0) {
    // All of ours are close-on-exec already; this also closes what somebody's library may have left open, and all of them before
    // what may take long.
    result = child_syscall(SYS_close_range, 3, ~0U);
    if (result == -ENOSYS) result = 0;
  }
  if (result >= 0) {
    step = Step::directory;
    result = child_syscall(SYS_chdir, reinterpret_cast<long>(args->cwd));
    if (result < 0 && !args->cwd_given) result = child_syscall(SYS_chdir, reinterpret_cast<long>("/"));
  }
  if (result >= 0) {
    step = Step::exec;
    child_syscall(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&args->mask), 0, sizeof args->mask);
    result = child_syscall(SYS_execve, reinterpret_cast<long>(args->program), reinterpret_cast<long>(args->argv),
                           reinterpret_cast<long>(args->envp));
  }
  args->error = static_cast<int>(-result);
  args->failed_step = step;
  return exit_not_found;
}

std::vector<char*> pointers_to(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));  // execve changes nothing
  pointers.push_back(nullptr);
  return pointers;
}

std::string reason(int error) { return std::strerror(error); }

std::string describe(const SpawnPlan& plan, const std::string& program, Step step, int error) {
  switch (step) {
    case Step::session: return "setsid: " + reason(error);
    case Step::open_files: return "setting the limit of open files: " + reason(error);
    case Step::directory: return "cannot enter the directory '" + plan.cwd + "': " + reason(error);
    case Step::descriptors: return "setting up standard input and output: " + reason(error);
    default: break;
  }
  if (error == ENOEXEC) return "cannot execute '" + program + "': it is no program and has no #! line";
  if (error == E2BIG) return "cannot execute '" + program + "': its arguments and environment are too long together";
  if (error == ENOENT && ::access(program.c_str(), F_OK) == 0 && program.front() == '/') {
    return "cannot execute '" + program + "': the interpreter that it names does not exist";
  }
  return "cannot execute '" + program + "': " + reason(error);
}

/// Descriptors that only the child needs, by what they stand for.
struct ChildEnds {
  std::array<UniqueFd, 3> owned;
  std::array<int, 3> fds{};

  void own(std::size_t target, UniqueFd fd) {
    fds.at(target) = fd.get();
    owned.at(target) = std::move(fd);
  }
};

void fail(SpawnResult& result, std::string message) { result.failure = SpawnFailure{exit_not_executable, std::move(message)}; }

std::string in_directory(const SpawnPlan& plan, const std::string& path) {
  return path.starts_with('/') ? path : plan.cwd + '/' + path;
}

/// Opened without waiting, so that a FIFO with nobody at its other end holds nobody up.
UniqueFd open_for_child(const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), flags | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, mode));
  if (fd) ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  return fd;
}

bool open_input(const SpawnPlan& plan, ChildEnds& ends, SpawnResult& result) {
  if (plan.input == InputKind::empty) {
    ends.fds[0] = plan.null_fd;
    return true;
  }
  if (plan.input == InputKind::file) {
    UniqueFd fd = open_for_child(in_directory(plan, plan.input_path), O_RDONLY, 0);
    if (!fd) fail(result, "cannot open '" + plan.input_path + "' as standard input: " + reason(errno));
    ends.own(0, std::move(fd));
    return !result.failure;
  }
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
    fail(result, "no pipe for standard input: " + reason(errno));
    return false;
  }
  ends.own(0, UniqueFd(pipe[0]));
  result.input.reset(pipe[1]);
  ::fcntl(pipe[1], F_SETFL, O_NONBLOCK);
  return true;
}

bool open_output(const SpawnPlan& plan, const OutputOrder& order, std::size_t target, ChildEnds& ends, UniqueFd& ours,
                 SpawnResult& result) {
  const char* const name = target == 1 ? "standard output" : "standard error";
  switch (order.output) {
    case OutputKind::null: ends.fds.at(target) = plan.null_fd; return true;
    case OutputKind::to_stdout: ends.fds.at(target) = ends.fds[1]; return true;
    case OutputKind::file: {
      const int flags = O_WRONLY | O_CREAT | (order.append ? O_APPEND : O_TRUNC);
      UniqueFd fd = open_for_child(in_directory(plan, order.path), flags, 0666 & ~plan.umask);
      if (!fd) fail(result, "cannot open '" + order.path + "' as " + name + ": " + reason(errno));
      ends.own(target, std::move(fd));
      return !result.failure;
    }
    case OutputKind::capture: break;
  }
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    fail(result, std::string("no pipe for ") + name + ": " + reason(errno));
    return false;
  }
  ours.reset(pipe[0]);
  ends.own(target, UniqueFd(pipe[1]));
  ::fcntl(pipe[1], F_SETFL, O_WRONLY);  // our end stays non-blocking, the program's must not be
  return true;
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

pid_t Launch::start(SpawnPlan plan, std::string path, const std::array<int, 3>& fds) {
  plan_ = std::move(plan);
  path_ = std::move(path);
  argv_ = pointers_to(plan_.argv);
  envp_ = pointers_to(plan_.env);
  args_.program = path_.c_str();
  args_.argv = argv_.data();
  args_.envp = envp_.data();
  args_.cwd = plan_.cwd.c_str();
  args_.cwd_given = plan_.cwd_given;
  args_.umask = plan_.umask;
  args_.open_files = plan_.open_files ? &*plan_.open_files : nullptr;
  std::ranges::copy(fds, args_.fds);
  args_.failed_step = Step::none;
  return stack_.start(child_main, &args_);
}

std::optional<SpawnFailure> Launch::failure() const {
  const Step step = args_.failed_step;
  const int error = args_.error;
  if (step == Step::none) return std::nullopt;
  const bool missing = step == Step::exec && (error == ENOENT || error == ENOTDIR);
  return SpawnFailure{missing ? exit_not_found : exit_not_executable, describe(plan_, path_, step, error)};
}

void LaunchEnd::operator()(Launch* launch) const {
  if (launch->is_through()) delete launch;
}

bool has_begun(const Launch& launch) { return launch.is_through() && !launch.failure(); }
std::optional<SpawnFailure> failure_of(const Launch& launch) { return launch.failure(); }

FoundProgram find_program(const std::string& name, const std::string& search_path, const std::string& cwd) {
  if (name.empty()) return {{}, exit_not_found, "the command is empty"};
  if (name.find('/') != std::string::npos) return {name, 0, {}};
  bool forbidden = false;
  std::string_view rest = search_path;
  for (bool more = true; more;) {
    const std::size_t colon = rest.find(':');
    more = colon != std::string_view::npos;
    const std::string_view folder = rest.substr(0, colon);
    if (more) rest.remove_prefix(colon + 1);
    std::string path;
    if (!folder.starts_with('/')) path = cwd + '/';
    path.append(folder).append("/").append(name);
    if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 && !is_directory(path)) return {std::move(path), 0, {}};
    forbidden = forbidden || errno == EACCES;
  }
  if (forbidden) return {{}, exit_not_executable, "'" + name + "' in PATH may not be executed"};
  return {{}, exit_not_found, "'" + name + "' was not found in PATH (" + search_path + ")"};
}

SpawnResult Spawner::spawn(SpawnPlan plan) {
  SpawnResult result;
  ChildEnds ends;
  if (!open_input(plan, ends, result) || !open_output(plan, plan.out, 1, ends, result.out, result) ||
      !open_output(plan, plan.err, 2, ends, result.err, result)) {
    return result;
  }
  FoundProgram found = find_program(plan.argv.empty() ? std::string() : plan.argv.front(), plan.search_path, plan.cwd);
  if (found.path.empty()) {
    result.failure = SpawnFailure{found.exit_code, std::move(found.failure)};
    return result;
  }
  if (spare_.empty()) {
    result.launch.reset(new Launch);
  } else {
    result.launch = std::move(spare_.back());
    spare_.pop_back();
  }
  // No signal may reach the child while it shares our memory.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  result.start_ticks = ticks_since_boot();
  result.started_at = wall_now();
  result.pid = result.launch->start(std::move(plan), std::move(found.path), ends.fds);
  const int clone_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (result.pid < 0) {
    result.pid = 0;
    give_back(std::move(result.launch));
    result.failure = SpawnFailure{exit_not_executable, "cannot make a process: " + reason(clone_error)};
  }
  return result;
}

void Spawner::give_back(LaunchPtr launch) {
  if (launch && launch->is_through() && spare_.size() < spares_max) spare_.push_back(std::move(launch));
}

}  // namespace stint::worker
