// See spawn_loop.hpp. The capturing loop does for each run what the daemon's runner does: two pipes, a null input, both
// outputs read to their end and kept, exit status and usage.
#include "tests/bench/spawn_loop.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <future>
#include <stdexcept>

#include "tests/bench/contest.hpp"

extern char** environ;  // NOLINT: what POSIX declares nowhere

namespace stint::bench {
namespace {

void check(int error, const char* what) {
  if (error != 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(error));
}

std::vector<char*> argv_of(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  return argv;
}

class FileActions {
 public:
  FileActions() { check(posix_spawn_file_actions_init(&actions_), "posix_spawn_file_actions_init"); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
  void become(int fd, int as) { check(posix_spawn_file_actions_adddup2(&actions_, fd, as), "adddup2"); }
  [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

void require_success(int status) {
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error("a program of the loop failed");
}

struct Run {
  pid_t pid = 0;
  std::array<int, 2> pipes{-1, -1};
  std::array<std::string, 2> output;
  rusage usage{};
};

class CapturingLoop {
 public:
  CapturingLoop(const std::vector<std::string>& command, int runs)
      : argv_(argv_of(command)),
        runs_(static_cast<std::size_t>(runs)),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        null_(open("/dev/null", O_RDONLY | O_CLOEXEC)) {
    if (epoll_ < 0 || null_ < 0) check(errno, "epoll_create1 or /dev/null");
  }
  CapturingLoop(const CapturingLoop&) = delete;
  CapturingLoop& operator=(const CapturingLoop&) = delete;
  ~CapturingLoop() {
    close(epoll_);
    close(null_);
  }

  void run(int at_once) {
    for (int i = 0; i < at_once; ++i) start_next();
    while (running_ > 0) {
      std::array<epoll_event, 64> events;
      const int count = epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) drain(events[static_cast<std::size_t>(i)].data.u64);
    }
  }

 private:
  void start_next() {
    if (next_ == runs_.size()) return;
    Run& run = runs_[next_];
    FileActions actions;
    actions.become(null_, 0);
    std::array<int, 2> write_ends{};
    for (std::size_t i = 0; i < 2; ++i) {
      std::array<int, 2> ends{};
      if (pipe2(ends.data(), O_CLOEXEC) != 0) check(errno, "pipe2");
      run.pipes[i] = ends[0];
      write_ends[i] = ends[1];
      actions.become(ends[1], static_cast<int>(i) + 1);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = next_ * 2 + i;
      if (epoll_ctl(epoll_, EPOLL_CTL_ADD, ends[0], &event) != 0) check(errno, "epoll_ctl");
    }
    check(posix_spawn(&run.pid, argv_[0], actions.get(), nullptr, argv_.data(), environ), "posix_spawn");
    for (int fd : write_ends) close(fd);
    ++next_;
    ++running_;
  }

  void drain(std::uint64_t which) {
    Run& run = runs_[which / 2];
    int& pipe = run.pipes[which % 2];
    if (pipe == -1) return;
    std::array<char, 65'536> bytes;
    const ssize_t got = read(pipe, bytes.data(), bytes.size());
    if (got > 0) {
      run.output[which % 2].append(bytes.data(), static_cast<std::size_t>(got));
      return;
    }
    // Taken out by hand: a child on its way into exec still holds the pipe, so the close alone would leave it here.
    epoll_ctl(epoll_, EPOLL_CTL_DEL, pipe, nullptr);
    close(pipe);
    pipe = -1;
    if (run.pipes[0] != -1 || run.pipes[1] != -1) return;
    int status = 0;
    if (wait4(run.pid, &status, 0, &run.usage) < 0) check(errno, "wait4");
    require_success(status);
    --running_;
    start_next();
  }

  std::vector<char*> argv_;
  std::vector<Run> runs_;
  std::size_t next_ = 0;
  int running_ = 0;
  int epoll_;
  int null_;
};

}  // namespace

double capturing_loop(const std::vector<std::string>& command, int runs, int at_once, int threads) {
  const double begun = now_seconds();
  std::vector<std::future<void>> loops;
  for (int i = 0; i < threads; ++i) {
    const auto share = [&](int whole) { return whole / threads + (i < whole % threads ? 1 : 0); };
    loops.push_back(std::async(
        std::launch::async, [&command, mine = share(runs), slots = share(at_once)] { CapturingLoop(command, mine).run(slots); }));
  }
  for (auto& loop : loops) loop.get();
  return now_seconds() - begun;
}

double bare_loop(const std::vector<std::string>& command, int runs, int at_once) {
  auto argv = argv_of(command);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  FileActions actions;
  for (int fd = 0; fd < 3; ++fd) actions.become(null, fd);
  const double begun = now_seconds();
  int started = 0;
  int running = 0;
  while (started < runs || running > 0) {
    if (started < runs && running < at_once) {
      pid_t pid = 0;
      check(posix_spawn(&pid, argv[0], actions.get(), nullptr, argv.data(), environ), "posix_spawn");
      ++started;
      ++running;
      continue;
    }
    int status = 0;
    if (waitpid(-1, &status, 0) < 0) check(errno, "waitpid");
    require_success(status);
    --running;
  }
  close(null);
  return now_seconds() - begun;
}

double xargs(const std::vector<std::string>& command, int runs, int at_once) {
  std::string script = "seq " + std::to_string(runs) + " | xargs -P " + std::to_string(at_once) + " -I{}";
  for (const auto& word : command) script += " " + word;
  script += " > /dev/null";
  std::vector<std::string> shell{"/bin/sh", "-c", script};
  auto argv = argv_of(shell);
  const double begun = now_seconds();
  pid_t pid = 0;
  check(posix_spawn(&pid, argv[0], nullptr, nullptr, argv.data(), environ), "posix_spawn");
  int status = 0;
  if (waitpid(pid, &status, 0) < 0) check(errno, "waitpid");
  require_success(status);
  return now_seconds() - begun;
}

}  // namespace stint::bench
