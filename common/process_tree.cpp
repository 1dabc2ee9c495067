#include "common/process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "common/unique_fd.hpp"

namespace stint {
namespace {

constexpr int unowned = -1;
/// A program's start is noted by the clock just before it; the kernel's own note may be some ticks later, and its
/// rounding may differ by one.
constexpr std::uint64_t start_ticks_late_max = 300;

struct ProcEntry {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t session = 0;
  std::uint64_t start_ticks = 0;
  char state = '?';
  int owner = unowned;
  bool resolved = false;
};

using ProcTable = std::unordered_map<pid_t, ProcEntry>;

/// Reads a whole small file of /proc; empty where it is gone or not ours to read.
std::string_view read_proc_file(const char* path, std::string& buffer) {
  const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return {};
  buffer.resize(std::max<std::size_t>(buffer.size(), 8192));
  std::size_t size = 0;
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer.data() + size, buffer.size() - size);
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
    if (size == buffer.size()) buffer.resize(buffer.size() * 2);
  }
  return {buffer.data(), size};
}

/// Fields of /proc/PID/stat, proc(5). The name in parentheses may hold anything, so the last parenthesis counts.
std::optional<ProcEntry> parse_stat(pid_t pid, std::string_view stat) {
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 >= stat.size()) return std::nullopt;
  ProcEntry entry;
  entry.pid = pid;
  entry.state = stat[name_end + 2];
  const char* at = stat.data() + name_end + 3;
  const char* end = stat.data() + stat.size();
  for (int field = 4; field <= 22; ++field) {
    while (at < end && *at == ' ') ++at;
    if (field == 4) std::from_chars(at, end, entry.parent);
    if (field == 6) std::from_chars(at, end, entry.session);
    if (field == 22) std::from_chars(at, end, entry.start_ticks);
    while (at < end && *at != ' ') ++at;
  }
  return entry;
}

ProcTable read_table(std::string& buffer) {
  ProcTable table;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
  if (!proc) return table;
  std::array<char, 64> path{};
  while (const dirent* entry = ::readdir(proc.get())) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    std::snprintf(path.data(), path.size(), "/proc/%.20s/stat", entry->d_name);
    const pid_t pid = std::atoi(entry->d_name);
    const auto parsed = parse_stat(pid, read_proc_file(path.data(), buffer));
    if (parsed) table.emplace(pid, *parsed);
  }
  return table;
}

struct RunKey {
  std::uint64_t job = 0;
  std::uint32_t attempt = 0;
  std::string_view instance;
  auto operator<=>(const RunKey&) const = default;
};

/// The run that stands in the environment of a process, as far as it names one.
std::optional<RunKey> marker_in(std::string_view environment) {
  RunKey key;
  bool job = false;
  bool attempt = false;
  bool instance = false;
  while (!environment.empty()) {
    const std::size_t end = std::min(environment.find('\0'), environment.size());
    const std::string_view entry = environment.substr(0, end);
    environment.remove_prefix(std::min(end + 1, environment.size()));
    if (!entry.starts_with("STINT_")) continue;
    const auto value_of = [&](std::string_view name, bool& found) -> std::string_view {
      if (found || !entry.starts_with(name)) return {};
      found = true;
      return entry.substr(name.size());
    };
    if (const auto text = value_of("STINT_JOB_ID=", job); !text.empty()) {
      std::from_chars(text.data(), text.data() + text.size(), key.job);
    } else if (const auto worker = value_of("STINT_POOL_WORKER=", job); !worker.empty()) {
      std::from_chars(worker.data(), worker.data() + worker.size(), key.job);
      attempt = true;  // it has none
    } else if (const auto number = value_of("STINT_ATTEMPT=", attempt); !number.empty()) {
      std::from_chars(number.data(), number.data() + number.size(), key.attempt);
    } else if (const auto name = value_of("STINT_INSTANCE=", instance); !name.empty()) {
      key.instance = name;
    }
  }
  if (!job || !attempt || !instance) return std::nullopt;
  return key;
}

/// All runs of one scan: the first `wanted` are looked for, the others only claim what is theirs.
class Scan {
 public:
  Scan(const std::vector<TreeMarks>& runs, const std::vector<TreeMarks>& others, Reach reach)
      : wanted_(runs.size()), reach_(reach) {
    marks_.reserve(runs.size() + others.size());
    for (const TreeMarks& run : runs) marks_.push_back(&run);
    for (const TreeMarks& run : others) marks_.push_back(&run);
    for (std::size_t i = 0; i < marks_.size(); ++i) {
      by_marker_.emplace(RunKey{marks_[i]->job, marks_[i]->attempt, marks_[i]->instance}, static_cast<int>(i));
    }
  }

  std::vector<std::vector<TreeProcess>> run() {
    table_ = read_table(buffer_);
    claim_by_pid_and_session();
    claim_descendants();
    claim_by_environment();
    claim_by_pipes();
    claim_descendants();
    std::vector<std::vector<TreeProcess>> found(wanted_);
    for (const auto& [pid, entry] : table_) {
      if (entry.owner == unowned || static_cast<std::size_t>(entry.owner) >= wanted_ || !is_alive(entry)) continue;
      found[static_cast<std::size_t>(entry.owner)].push_back({pid, entry.start_ticks});
    }
    for (std::size_t i = 0; i < wanted_; ++i) {
      const pid_t main = marks_[i]->main;
      std::sort(found[i].begin(), found[i].end(), [main](const TreeProcess& a, const TreeProcess& b) {
        return std::tuple(a.pid != main, a.start_ticks, a.pid) < std::tuple(b.pid != main, b.start_ticks, b.pid);
      });
    }
    return found;
  }

 private:
  static bool is_alive(const ProcEntry& entry) { return entry.state != 'Z' && entry.state != 'X'; }
  [[nodiscard]] bool is_taboo(pid_t pid) const { return pid == 1 || pid == self_; }

  [[nodiscard]] static bool start_fits(const TreeMarks& marks, const ProcEntry& entry) {
    return marks.start_ticks == 0 ||
           (entry.start_ticks + 1 >= marks.start_ticks && entry.start_ticks <= marks.start_ticks + start_ticks_late_max);
  }

  void claim_by_pid_and_session() {
    std::unordered_map<pid_t, int> by_session;
    for (std::size_t i = 0; i < marks_.size(); ++i) {
      const TreeMarks& marks = *marks_[i];
      const auto main = table_.find(marks.main);
      const bool main_is_ours = marks.main != 0 && main != table_.end() && start_fits(marks, main->second);
      if (main_is_ours && !is_taboo(marks.main)) main->second.owner = static_cast<int>(i);
      // While a session has members its number is no new process's pid. So a process with that pid which is not the
      // run's own first one proves that the session is another one.
      if (marks.session > 1 && (main_is_ours || !table_.contains(marks.session))) {
        by_session.emplace(marks.session, static_cast<int>(i));
      }
    }
    for (auto& [pid, entry] : table_) {
      if (entry.owner != unowned || is_taboo(pid)) continue;
      if (const auto found = by_session.find(entry.session); found != by_session.end()) entry.owner = found->second;
    }
  }

  void claim_descendants() {
    for (auto& [pid, entry] : table_) entry.resolved = false;
    for (auto& [pid, entry] : table_) resolve(entry);
  }
  int resolve(ProcEntry& entry) {
    // Parent pids may form a circle in a table that was not read in one instant: `resolved` is set first.
    if (entry.resolved || is_taboo(entry.pid)) return entry.owner;
    entry.resolved = true;
    if (entry.owner != unowned) return entry.owner;
    const auto parent = table_.find(entry.parent);
    if (parent != table_.end()) entry.owner = resolve(parent->second);
    return entry.owner;
  }

  void claim_by_environment() {
    std::array<char, 64> path{};
    for (auto& [pid, entry] : table_) {
      if (entry.owner != unowned || is_taboo(pid) || !is_alive(entry)) continue;
      if (reach_ == Reach::adopted && entry.parent != self_) continue;
      std::snprintf(path.data(), path.size(), "/proc/%d/environ", pid);
      const auto key = marker_in(read_proc_file(path.data(), buffer_));
      if (!key) continue;
      if (const auto found = by_marker_.find(*key); found != by_marker_.end()) entry.owner = found->second;
    }
  }

  void claim_by_pipes() {
    std::unordered_map<ino_t, int> by_pipe;
    for (std::size_t i = 0; i < wanted_; ++i) {
      for (const ino_t pipe : marks_[i]->pipes) by_pipe.emplace(pipe, static_cast<int>(i));
    }
    if (by_pipe.empty()) return;
    for (auto& [pid, entry] : table_) {
      if (entry.owner == unowned && !is_taboo(pid) && is_alive(entry)) entry.owner = pipe_owner(pid, by_pipe);
    }
  }
  static int pipe_owner(pid_t pid, const std::unordered_map<ino_t, int>& by_pipe) {
    const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
    const std::unique_ptr<DIR, int (*)(DIR*)> fds(::opendir(folder.c_str()), ::closedir);
    if (!fds) return unowned;
    while (const dirent* entry = ::readdir(fds.get())) {
      struct stat target {};
      if (entry->d_name[0] == '.' || ::fstatat(::dirfd(fds.get()), entry->d_name, &target, 0) != 0) continue;
      if (!S_ISFIFO(target.st_mode)) continue;
      const auto found = by_pipe.find(target.st_ino);
      if (found == by_pipe.end()) continue;
      // Only who can write to it: the reader is the runner. The link's own mode says how it is open.
      struct stat link {};
      if (::fstatat(::dirfd(fds.get()), entry->d_name, &link, AT_SYMLINK_NOFOLLOW) == 0 && (link.st_mode & S_IWUSR) != 0) {
        return found->second;
      }
    }
    return unowned;
  }

  std::size_t wanted_;
  Reach reach_;
  std::vector<const TreeMarks*> marks_;
  std::map<RunKey, int> by_marker_;
  ProcTable table_;
  std::string buffer_;
  pid_t self_ = ::getpid();
};

std::uint64_t start_ticks_of(pid_t pid) {
  std::string buffer;
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", pid);
  const auto entry = parse_stat(pid, read_proc_file(path.data(), buffer));
  return entry ? entry->start_ticks : 0;
}

}  // namespace

std::vector<std::vector<TreeProcess>> find_trees(const std::vector<TreeMarks>& runs, const std::vector<TreeMarks>& others,
                                                 Reach reach) {
  return Scan(runs, others, reach).run();
}

void signal_process(const TreeProcess& process, int signal) {
  // glibc 2.36 has a wrapper, older ones do not.
  const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (!handle || start_ticks_of(process.pid) != process.start_ticks) return;
  ::syscall(SYS_pidfd_send_signal, handle.get(), signal, nullptr, 0);
}

void kill_trees(const std::vector<TreeMarks>& runs, void (*reap)(), Reach reach) {
  if (runs.empty()) return;
  for (int empty = 0; empty < empty_scans_needed;) {
    bool any = false;
    for (const auto& tree : find_trees(runs, {}, reach)) {
      for (const TreeProcess& process : tree) signal_process(process, SIGKILL);
      any = any || !tree.empty();
    }
    reap();
    empty = any ? 0 : empty + 1;
    const timespec pause{0, 1'000'000};
    if (empty < empty_scans_needed) ::nanosleep(&pause, nullptr);
  }
}

}  // namespace stint
