#include "daemon/worker/zygote.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "common/packet_link.hpp"
#include "daemon/worker/process_setup.hpp"
#include "daemon/worker/worker_folder.hpp"

namespace stint::worker {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// How long the hosts of a daemon that is gone may take to end by themselves, together.
constexpr Clock::duration host_end_deadline = 5s;
/// How soon the lock of a dead worker is tried again. A child that it was about to start may hold it until its exec.
constexpr Clock::duration lock_pause = 2ms;

bool is_runner(const std::string& name) { return name.starts_with("runner-"); }

struct ChildEnd {
  pid_t pid = 0;
  int status = 0;
};

/// Ends of children, in the order seen; filled by reap_all, which also runs in the middle of a kill.
std::vector<ChildEnd>& ended_children() {
  static std::vector<ChildEnd> ended;
  return ended;
}

void reap_all() {
  ChildEnd end;
  while ((end.pid = ::waitpid(-1, &end.status, WNOHANG)) > 0 || (end.pid < 0 && errno == EINTR)) {
    if (end.pid > 0) ended_children().push_back(end);
  }
}

class Zygote {
 public:
  Zygote(UniqueFd control, std::string state_dir, const WorkerMains& mains);
  void run();

 private:
  /// A worker that has ended, whose folder is still to be cleared.
  struct Dead {
    std::string name;
    pid_t pid = 0;
    int status = unknown_wait_status;
    Reach reach = Reach::everybody;
  };

  void on_frame(const FrameView& frame);
  void spawn_worker(const SpawnWorker& order);
  [[noreturn]] void become_worker(const SpawnWorker& order, WorkerPlace place);
  /// Ends of workers, out of those of all children.
  [[nodiscard]] std::vector<Dead> reap_workers();
  void on_children();
  void clear_dead();
  [[nodiscard]] bool clear(const Dead& dead);
  void sweep();
  void end_hosts(const std::vector<std::string>& names) const;
  void remove(const RemoveWorker& order) const;
  [[nodiscard]] std::string folder_of(const std::string& name) const { return workers_folder(state_dir_) + '/' + name; }
  [[nodiscard]] bool is_child(const std::string& name) const;
  void finish();
  void flush();
  /// False when the time is over.
  bool wait(Clock::time_point until, bool with_control);

  PacketLink control_;
  std::string state_dir_;
  const WorkerMains& mains_;
  UniqueFd child_signals_;
  UniqueFd self_;                          // a pidfd, for the workers
  std::map<pid_t, std::string> children_;  // their names
  std::vector<Dead> dead_;
};

Zygote::Zygote(UniqueFd control, std::string state_dir, const WorkerMains& mains)
    : control_(std::move(control)),
      state_dir_(std::move(state_dir)),
      mains_(mains),
      child_signals_(child_signal_fd()),
      self_(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))) {
  if (!self_) throw std::system_error(errno, std::generic_category(), "pidfd_open");
}

void Zygote::run() {
  for (;;) {
    wait(dead_.empty() ? Clock::time_point::max() : Clock::now() + lock_pause, true);
    on_children();
    clear_dead();
    if (control_.receive([this](const FrameView& frame) { on_frame(frame); }) == PacketLink::Receive::closed) break;
    flush();
  }
  finish();
}

bool Zygote::wait(Clock::time_point until, bool with_control) {
  std::array<pollfd, 2> fds{pollfd{child_signals_.get(), POLLIN, 0}, pollfd{control_.fd(), POLLIN, 0}};
  int timeout = -1;
  if (until != Clock::time_point::max()) {
    timeout = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count());
    if (timeout <= 0) return false;
  }
  if (control_.has_unsent()) fds[1].events |= POLLOUT;
  ::poll(fds.data(), with_control ? 2 : 1, timeout);
  signalfd_siginfo info{};
  while (::read(child_signals_.get(), &info, sizeof info) > 0) {
  }
  return true;
}

void Zygote::flush() { static_cast<void>(control_.flush()); }  // broken: the next receive says so

void Zygote::on_frame(const FrameView& frame) {
  switch (frame.kind) {
    case FrameKind::spawn_worker: return spawn_worker(decode<SpawnWorker>(frame));
    case FrameKind::sweep: return sweep();
    case FrameKind::clear_worker: return dead_.push_back({decode<ClearWorker>(frame).name});
    case FrameKind::remove_worker: return remove(decode<RemoveWorker>(frame));
    default: throw Decoder::malformed();
  }
}

void Zygote::spawn_worker(const SpawnWorker& order) {
  Spawned answer;
  answer.name = order.name;
  pid_t pid = -1;
  try {
    WorkerPlace place = make_worker_folder(state_dir_, order.name);
    pid = ::fork();
    if (pid == 0) become_worker(order, std::move(place));
    if (pid < 0) {
      answer.error = "cannot fork a worker";
      remove_worker_folder(place.folder);
    } else {
      children_.emplace(pid, order.name);
      note_pid(place, pid);
      answer.pid = pid;
    }
  } catch (const Error& error) {
    answer.error = error.message();
    if (pid > 0) ::kill(pid, SIGKILL);
  }
  control_.post(answer);
}

void Zygote::become_worker(const SpawnWorker& order, WorkerPlace place) {
  // The child has no use for the zygote's descriptors, and the daemon must see the zygote's end when it ends.
  control_.close();
  child_signals_.reset();
  place.parent = std::move(self_);
  int code = 1;
  try {
    code = order.role == WorkerRole::runner ? mains_.runner(std::move(place)) : mains_.host(std::move(place));
  } catch (const std::exception& error) {
    say(order.name + ": " + error.what());
  }
  ::_exit(code);
}

std::vector<Zygote::Dead> Zygote::reap_workers() {
  reap_all();
  std::vector<Dead> dead;
  for (const ChildEnd& end : std::exchange(ended_children(), {})) {
    auto child = children_.extract(end.pid);
    if (!child.empty()) dead.push_back({std::move(child.mapped()), end.pid, end.status, Reach::adopted});  // else: an orphan
  }
  return dead;
}

void Zygote::on_children() {
  // Clearing one reaps others.
  for (auto dead = reap_workers(); !dead.empty(); dead = reap_workers()) {
    for (Dead& one : dead) dead_.push_back(std::move(one));
    clear_dead();
  }
}

void Zygote::clear_dead() {
  std::erase_if(dead_, [this](const Dead& dead) { return clear(dead); });
}

/// False where somebody has the lock still.
bool Zygote::clear(const Dead& dead) {
  const std::string folder = folder_of(dead.name);
  const UniqueFd lock = lock_dead_folder(folder);
  if (!lock && has_lock(folder)) return false;
  Died died{dead.name, dead.pid, dead.status, {}};
  if (lock) {
    kill_trees(begun_trees(folder), reap_all, dead.reach);
    died.runs = found_runs(folder);
    if (died.runs.begun.empty() && died.runs.ended.empty()) remove_worker_folder(folder);
  }
  control_.post(died);
  return true;
}

void Zygote::remove(const RemoveWorker& order) const {
  const std::string folder = folder_of(order.name);
  if (const UniqueFd lock = lock_dead_folder(folder); lock || !has_lock(folder)) remove_worker_folder(folder);
}

bool Zygote::is_child(const std::string& name) const {
  return std::any_of(children_.begin(), children_.end(), [&](const auto& entry) { return entry.second == name; });
}

/// Makes the holders of these folders' locks end, if they have not ended by themselves in time.
void Zygote::end_hosts(const std::vector<std::string>& names) const {
  const auto deadline = Clock::now() + host_end_deadline;
  for (const std::string& name : names) {
    const std::string folder = folder_of(name);
    const UniqueFd holder(static_cast<int>(::syscall(SYS_pidfd_open, noted_pid(folder), 0)));
    // The lock is still held after the pidfd was opened: so the pid is still its holder's.
    if (!holder || lock_dead_folder(folder)) continue;
    pollfd gone{holder.get(), POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (::poll(&gone, 1, static_cast<int>(std::max<std::int64_t>(left, 0))) == 0) {
      ::syscall(SYS_pidfd_send_signal, holder.get(), SIGKILL, nullptr, 0);
      ::poll(&gone, 1, -1);
    }
  }
}

void Zygote::sweep() {
  std::vector<std::string> names;
  std::vector<std::string> hosts;
  for (std::string& name : list_worker_folders(state_dir_)) {
    if (is_child(name)) continue;
    if (!is_runner(name)) hosts.push_back(name);
    names.push_back(std::move(name));
  }
  end_hosts(hosts);
  Swept answer;
  std::vector<UniqueFd> locks;  // of the dead, until all is done
  std::vector<TreeMarks> trees;
  for (const std::string& name : names) {
    const std::string folder = folder_of(name);
    if (UniqueFd lock = lock_dead_folder(folder)) {
      for (TreeMarks& marks : begun_trees(folder)) trees.push_back(std::move(marks));
      locks.push_back(std::move(lock));
      answer.workers.push_back({name, {}});
    } else if (!has_lock(folder)) {
      const FoundRuns runs = found_runs(folder);
      if (runs.begun.empty() && runs.ended.empty()) {
        remove_worker_folder(folder);  // its making was interrupted
        continue;
      }
      // Somebody has removed it: nobody can be reached by this folder any more.
      for (TreeMarks& marks : begun_trees(folder)) trees.push_back(std::move(marks));
      answer.workers.push_back({name, {}});
    } else if (is_runner(name)) {
      answer.alive.push_back({name, noted_pid(folder)});
    }
  }
  kill_trees(trees, reap_all);
  for (SweptWorker& dead : answer.workers) {
    dead.runs = found_runs(folder_of(dead.name));
    if (dead.runs.begun.empty() && dead.runs.ended.empty()) remove_worker_folder(folder_of(dead.name));
  }
  control_.post(answer);
}

/// The daemon has gone, or wants no more. Its hosts have lost their sockets too and end; its runners live on, and what one
/// that ends now has to tell is for the next daemon.
void Zygote::finish() {
  control_.close();
  std::erase_if(children_, [](const auto& entry) { return is_runner(entry.second); });
  const auto deadline = Clock::now() + host_end_deadline;
  const auto clear_hosts = [this] {
    for (const Dead& dead : reap_workers()) {
      if (const UniqueFd lock = lock_dead_folder(folder_of(dead.name))) remove_worker_folder(folder_of(dead.name));
    }
  };
  for (clear_hosts(); !children_.empty() && wait(deadline, false);) clear_hosts();
  for (const auto& [pid, name] : children_) ::kill(pid, SIGKILL);
  for (clear_hosts(); !children_.empty(); clear_hosts()) wait(Clock::time_point::max(), false);
}

}  // namespace

int zygote_main(UniqueFd control, const std::string& state_dir, const WorkerMains& mains) {
  // Before anything else: what the daemon had open is not for here.
  const auto kept = static_cast<unsigned>(control.get());
  if (kept > 3) ::syscall(SYS_close_range, 3U, kept - 1, 0U);
  ::syscall(SYS_close_range, kept + 1, ~0U, 0U);
  become_subreaper();
  reset_signals({SIGCHLD});
  ::umask(077);
  ::prctl(PR_SET_NAME, "stint-zygote");
  try {
    Zygote(std::move(control), state_dir, mains).run();
    return 0;
  } catch (const std::exception& error) {
    say(std::string("zygote: ") + error.what());
    return 1;
  }
}

}  // namespace stint::worker
