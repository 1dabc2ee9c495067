#include "daemon/worker/spawn.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "common/slot_file.hpp"
#include "daemon/worker/clone_child.hpp"

namespace stint::worker {
namespace {

constexpr int exit_not_executable = 126;
constexpr int exit_not_found = 127;

enum class Step : std::uint8_t { none, session, open_files, directory, descriptors, exec };

/// What the child reads and where it says what failed; lies on the parent's stack, which waits.
struct ChildArgs {
  const SpawnPlan* plan = nullptr;
  const char* program = nullptr;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  std::array<int, 3> fds{};
  sigset_t mask{};
  volatile Step failed_step = Step::none;
  volatile int error = 0;
};

int fail(ChildArgs& args, Step step) {
  args.error = errno;
  args.failed_step = step;
  return exit_not_found;
}

/// Runs in the child, in the parent's memory: system calls only.
int child_main(void* argument) {
  auto& args = *static_cast<ChildArgs*>(argument);
  const SpawnPlan& plan = *args.plan;
  if (::setsid() < 0) return fail(args, Step::session);
  if (plan.open_files && ::setrlimit(RLIMIT_NOFILE, &*plan.open_files) != 0) return fail(args, Step::open_files);
  ::umask(plan.umask);
  if (::chdir(plan.cwd.c_str()) != 0 && (plan.cwd_given || ::chdir("/") != 0)) return fail(args, Step::directory);
  for (int target = 0; target < 3; ++target) {
    // Not dup2(): sanitizers intercept it and would take it for the parent's.
    if (::syscall(SYS_dup3, args.fds[static_cast<std::size_t>(target)], target, 0) < 0) return fail(args, Step::descriptors);
  }
  // All of ours are close-on-exec already; this also closes what somebody's library may have left open.
  if (::syscall(SYS_close_range, 3U, ~0U, 0U) != 0 && errno != ENOSYS) return fail(args, Step::descriptors);
  ::sigprocmask(SIG_SETMASK, &args.mask, nullptr);
  ::execve(args.program, args.argv, args.envp);
  return fail(args, Step::exec);
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
    if (!fd) result.failure = "cannot open '" + plan.input_path + "' as standard input: " + reason(errno);
    ends.own(0, std::move(fd));
    return result.failure.empty();
  }
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
    result.failure = "no pipe for standard input: " + reason(errno);
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
      if (!fd) result.failure = "cannot open '" + order.path + "' as " + name + ": " + reason(errno);
      ends.own(target, std::move(fd));
      return result.failure.empty();
    }
    case OutputKind::capture: break;
  }
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    result.failure = std::string("no pipe for ") + name + ": " + reason(errno);
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

void spawn(const SpawnPlan& plan, SpawnResult& result) {
  result.exit_code = exit_not_executable;
  ChildEnds ends;
  if (!open_input(plan, ends, result) || !open_output(plan, plan.out, 1, ends, result.out, result) ||
      !open_output(plan, plan.err, 2, ends, result.err, result)) {
    return;
  }
  const FoundProgram found = find_program(plan.argv.empty() ? std::string() : plan.argv.front(), plan.search_path, plan.cwd);
  if (found.path.empty()) {
    result.exit_code = found.exit_code;
    result.failure = found.failure;
    return;
  }
  const std::vector<char*> argv = pointers_to(plan.argv);
  const std::vector<char*> envp = pointers_to(plan.env);

  ChildArgs args;
  args.plan = &plan;
  args.program = found.path.c_str();
  args.argv = argv.data();
  args.envp = envp.data();
  args.fds = ends.fds;
  ::sigemptyset(&args.mask);

  // No signal may reach the child while it shares our memory.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  result.start_ticks = ticks_since_boot();
  result.started_at = wall_now();
  const pid_t pid = clone_child(child_main, &args);
  const int clone_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);

  if (pid < 0) {
    result.failure = "cannot make a process: " + reason(clone_error);
  } else if (args.failed_step != Step::none) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    result.failure = describe(plan, found.path, args.failed_step, args.error);
    const bool missing = args.failed_step == Step::exec && (args.error == ENOENT || args.error == ENOTDIR);
    result.exit_code = missing ? exit_not_found : exit_not_executable;
  } else {
    result.pid = pid;
    result.exit_code = 0;
  }
}

}  // namespace stint::worker
