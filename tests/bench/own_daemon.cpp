// See own_daemon.hpp.
#include "tests/bench/own_daemon.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <stdexcept>

#include "tests/bench/contest.hpp"

namespace stint::bench {
namespace {

constexpr int ready_ms_max = 120'000;

/// Where a service manager would listen.
class ReadySocket {
 public:
  explicit ReadySocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (fd_ < 0 || path.size() >= sizeof address.sun_path) throw std::runtime_error("no socket to be told of READY by");
    path.copy(address.sun_path, path.size());
    ::unlink(path.c_str());
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("bind failed");
  }
  ~ReadySocket() { ::close(fd_); }
  ReadySocket(const ReadySocket&) = delete;
  ReadySocket& operator=(const ReadySocket&) = delete;

  void wait() const {
    std::array<char, 4'096> text;
    while (true) {
      pollfd ready{fd_, POLLIN, 0};
      if (::poll(&ready, 1, ready_ms_max) <= 0) throw std::runtime_error("the daemon does not become ready");
      const ssize_t got = ::recv(fd_, text.data(), text.size(), 0);
      if (got > 0 && std::string_view(text.data(), static_cast<std::size_t>(got)).find("READY=1") != std::string_view::npos)
        return;
    }
  }

 private:
  int fd_;
};

std::uint64_t number_behind(const std::filesystem::path& file, const std::string& name) {
  std::ifstream in(file);
  for (std::string word; in >> word;) {
    std::uint64_t value = 0;
    if (word == name && in >> value) return value;
  }
  return 0;  // a thread that has just gone
}

std::filesystem::path folder_of(pid_t process) { return std::filesystem::path("/proc") / std::to_string(process); }

/// The process and all below it.
std::vector<pid_t> tree_of(pid_t root) {
  std::multimap<pid_t, pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto process = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
    if (process > 0) children.emplace(static_cast<pid_t>(number_behind(entry.path() / "status", "PPid:")), process);
  }
  std::vector<pid_t> tree{root};
  for (std::size_t i = 0; i < tree.size(); ++i) {
    const auto [begin, end] = children.equal_range(tree[i]);
    for (auto child = begin; child != end; ++child) tree.push_back(child->second);
  }
  return tree;
}

}  // namespace

OwnDaemon::OwnDaemon(std::string program, std::vector<std::string> settings)
    : program_(std::move(program)), settings_(std::move(settings)) {
  std::string pattern = (std::filesystem::temp_directory_path() / "stint-bench-own.XXXXXX").native();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  directory_ = pattern;
}

OwnDaemon::~OwnDaemon() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

double OwnDaemon::start() {
  const std::string ready_path = (directory_ / "ready").native();
  const ReadySocket ready(ready_path);
  std::vector<std::string> words{program_,      "--state-dir", (directory_ / "state").native(), "--socket", socket(),
                                 "--log-level", "error"};
  for (const auto& setting : settings_) words.insert(words.end(), {"--set", setting});
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const double begun = now_seconds();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) {
    ::setenv("NOTIFY_SOCKET", ready_path.c_str(), 1);
    ::execv(argv.front(), argv.data());
    ::_exit(127);
  }
  ready.wait();
  return now_seconds() - begun;
}

void OwnDaemon::stop() {
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

std::uint64_t OwnDaemon::resident_bytes() const { return number_behind(folder_of(pid_) / "smaps_rollup", "Rss:") * 1'024; }

std::uint64_t OwnDaemon::wake_ups() const {
  const auto tree = tree_of(pid_);
  if (tree.size() < 2) throw std::runtime_error("the daemon's workers are not to be seen");
  std::uint64_t sum = 0;
  for (const pid_t process : tree) {
    for (const auto& thread : std::filesystem::directory_iterator(folder_of(process) / "task")) {
      sum += number_behind(thread.path() / "status", "voluntary_ctxt_switches:");
    }
  }
  return sum;
}

}  // namespace stint::bench
