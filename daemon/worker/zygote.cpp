#include "daemon/worker/zygote.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <map>
#include <vector>

#include "common/packet_link.hpp"
#include "daemon/worker/process_setup.hpp"
#include "daemon/worker/worker_folder.hpp"

namespace stint::worker {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// How long a worker whose daemon is gone may take to end its programs and itself.
constexpr Clock::duration worker_end_deadline = 5s;

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
  struct Child {
    std::string name;
    std::string folder;
  };

  void on_frame(const FrameView& frame);
  void spawn_worker(const SpawnWorker& order);
  [[noreturn]] void become_worker(const SpawnWorker& order, WorkerPlace place);
  void on_children();
  void sweep();
  void end_holder(const std::string& folder);
  void finish();
  void flush();
  /// False when the time is over.
  bool wait(Clock::time_point until, bool with_control);

  PacketLink control_;
  std::string state_dir_;
  const WorkerMains& mains_;
  UniqueFd child_signals_;
  std::map<pid_t, Child> children_;
};

Zygote::Zygote(UniqueFd control, std::string state_dir, const WorkerMains& mains)
    : control_(std::move(control)), state_dir_(std::move(state_dir)), mains_(mains), child_signals_(child_signal_fd()) {}

void Zygote::run() {
  for (;;) {
    wait(Clock::time_point::max(), true);
    on_children();
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
    default: throw Decoder::malformed();
  }
}

void Zygote::spawn_worker(const SpawnWorker& order) {
  Spawned answer;
  answer.name = order.name;
  try {
    WorkerPlace place = make_worker_folder(state_dir_, order.name);
    const std::string folder = place.folder;
    const pid_t pid = ::fork();
    if (pid == 0) become_worker(order, std::move(place));
    if (pid < 0) {
      answer.error = "cannot fork a worker";
      remove_worker_folder(folder);
    } else {
      answer.pid = pid;
      children_.emplace(pid, Child{order.name, folder});
    }
  } catch (const Error& error) {
    answer.error = error.message();
  }
  control_.post(answer);
}

void Zygote::become_worker(const SpawnWorker& order, WorkerPlace place) {
  // The child has no use for the zygote's descriptors, and the daemon must see the zygote's end when it ends.
  control_.close();
  child_signals_.reset();
  int code = 1;
  try {
    note_pid(place);
    code = order.role == WorkerRole::runner ? mains_.runner(std::move(place)) : mains_.host(std::move(place));
  } catch (const std::exception& error) {
    say(order.name + ": " + error.what());
  }
  ::_exit(code);
}

void Zygote::on_children() {
  reap_all();
  while (!ended_children().empty()) {
    const ChildEnd end = ended_children().front();
    ended_children().erase(ended_children().begin());
    const auto found = children_.find(end.pid);
    if (found == children_.end()) continue;  // an orphan of some worker
    const Child child = found->second;
    children_.erase(found);
    Died died{child.name, end.pid, end.status, {}};
    if (const UniqueFd lock = lock_dead_folder(child.folder)) {
      kill_trees(begun_trees(child.folder), reap_all, Reach::adopted);
      died.runs = found_runs(child.folder);
      remove_worker_folder(child.folder);
    }
    control_.post(died);
  }
}

/// Makes the holder of a folder's lock end, if it has not ended by itself in time.
void Zygote::end_holder(const std::string& folder) {
  const UniqueFd holder(static_cast<int>(::syscall(SYS_pidfd_open, noted_pid(folder), 0)));
  // The lock is still held after the pidfd was opened: so the pid is still its holder's.
  if (!holder || lock_dead_folder(folder)) return;
  pollfd gone{holder.get(), POLLIN, 0};
  const auto deadline = std::chrono::duration_cast<std::chrono::milliseconds>(worker_end_deadline);
  if (::poll(&gone, 1, static_cast<int>(deadline.count())) == 0) {
    ::syscall(SYS_pidfd_send_signal, holder.get(), SIGKILL, nullptr, 0);
    ::poll(&gone, 1, -1);
  }
}

void Zygote::sweep() {
  Swept answer;
  for (const std::string& name : list_worker_folders(state_dir_)) {
    const std::string folder = workers_folder(state_dir_) + '/' + name;
    const bool own =
        std::any_of(children_.begin(), children_.end(), [&](const auto& entry) { return entry.second.name == name; });
    if (own) continue;
    end_holder(folder);
    UniqueFd lock = lock_dead_folder(folder);
    SweptWorker swept{name, {}};
    if (lock) {
      kill_trees(begun_trees(folder), reap_all);
      swept.runs = found_runs(folder);
      remove_worker_folder(folder);
    } else if (::access((folder + "/lock").c_str(), F_OK) != 0) {
      remove_worker_folder(folder);  // its making was interrupted
    }
    answer.workers.push_back(std::move(swept));
  }
  control_.post(answer);
}

/// The daemon has gone, or wants no more: its workers have lost their sockets too and end.
void Zygote::finish() {
  control_.close();
  const auto deadline = Clock::now() + worker_end_deadline;
  for (on_children(); !children_.empty() && wait(deadline, false);) on_children();
  for (const auto& [pid, child] : children_) ::kill(pid, SIGKILL);
  for (on_children(); !children_.empty(); on_children()) wait(Clock::time_point::max(), false);
}

}  // namespace

int zygote_main(UniqueFd control, const std::string& state_dir, const WorkerMains& mains) {
  // Before anything else: what the daemon had open is not for here.
  const auto kept = static_cast<unsigned>(control.get());
  if (kept > 3) ::syscall(SYS_close_range, 3U, kept - 1, 0U);
  ::syscall(SYS_close_range, kept + 1, ~0U, 0U);
  become_subreaper();
  reset_signals({SIGCHLD, SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT});
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
