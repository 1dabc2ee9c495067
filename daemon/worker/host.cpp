#include "daemon/worker/host.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/error.hpp"
#include "common/fd_message.hpp"
#include "common/host_protocol.hpp"
#include "common/plugin.hpp"
#include "common/progress_cell.hpp"
#include "common/shared_payload.hpp"
#include "common/task_run.hpp"

namespace stint::worker {
namespace {

using host_protocol::Payload;
using Clock = std::chrono::steady_clock;

/// What a task that crashes would set off, and what reaches a terminal's whole process group.
void prepare_process() {
  constexpr rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  // A core pattern that is a pipe ignores the limit, but not this.
  ::prctl(PR_SET_DUMPABLE, 0);
  ::prctl(PR_SET_NAME, "stint-host");
  sigset_t empty;
  sigemptyset(&empty);
  ::sigprocmask(SIG_SETMASK, &empty, nullptr);
  // Its only order to leave is the end of its connection.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(signal, SIG_IGN);
}

UniqueFd accept_one(int listen_fd) {
  for (;;) {
    UniqueFd connection(::accept4(listen_fd, nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) {
      ::close(listen_fd);
      return connection;
    }
    if (errno == EAGAIN) {
      pollfd wait{listen_fd, POLLIN, 0};
      ::poll(&wait, 1, -1);
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return {};
    }
  }
}

/// Runs are begun by the main thread, run by the second, and answered by it: a frame is sent whole, so both may send.
class Host {
 public:
  Host(UniqueFd connection, const TaskRegistry& tasks)
      : connection_(std::move(connection)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), tasks_(tasks) {}

  int serve() {
    std::jthread thread([this](const std::stop_token& leave) { work(leave); });
    while (turn()) {
    }
    // The task cannot be waited for: it may never look at its token, and nobody is left to tell its end to.
    if (busy()) ::_exit(0);
    return 0;
  }

 private:
  struct Work {
    host_protocol::Run run;
    UniqueFd attached;
    std::stop_source stop;
    ProgressCell progress;
  };

  // ---- the main thread

  /// One wait and what it brought; false when the connection has ended.
  bool turn() {
    std::array<pollfd, 2> waits{{{connection_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
    if (::poll(waits.data(), waits.size(), wait_milliseconds()) < 0 && errno != EINTR) return false;
    if ((waits[1].revents & POLLIN) != 0) {
      std::uint64_t count = 0;
      static_cast<void>(::read(wake_.get(), &count, sizeof count));
      progress_at_ = std::max(progress_at_, last_progress_ + progress_interval);
      progress_due_ = true;
    }
    if (progress_due_ && Clock::now() >= progress_at_) send_progress();
    return (waits[0].revents & (POLLIN | POLLHUP | POLLERR)) == 0 || read();
  }

  [[nodiscard]] int wait_milliseconds() const {
    if (!progress_due_) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(progress_at_ - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
  }

  void send_progress() {
    const std::lock_guard lock(mutex_);
    progress_due_ = false;
    if (!work_) return;
    auto report = work_->progress.take();
    if (!report) return;
    send(host_protocol::Progress{work_->run.job, work_->run.attempt, report->value, std::move(report->text)});
    last_progress_ = Clock::now();
    // Looked for once more, after which the task has to wake us again.
    progress_at_ = last_progress_ + progress_interval;
    progress_due_ = true;
  }

  bool read() {
    ReceivedMessage message = receive_message(connection_.get(), host_protocol::frame_bytes_max);
    if (message.status != MessageStatus::done) return message.status == MessageStatus::would_block;
    auto frame = host_protocol::decode(message.bytes);
    if (!frame || message.truncated) return false;
    if (auto* run = std::get_if<host_protocol::Run>(&*frame)) return begin(std::move(*run), std::move(message.attached));
    const auto* stop = std::get_if<host_protocol::Stop>(&*frame);
    if (stop == nullptr) return false;
    ask_to_stop(*stop);
    return true;
  }

  /// False where one runs already: the daemon does not do that.
  bool begin(host_protocol::Run run, UniqueFd attached) {
    const auto work = std::make_shared<Work>();
    work->run = std::move(run);
    work->attached = std::move(attached);
    const std::lock_guard lock(mutex_);
    if (work_) return false;
    work_ = work;
    changed_.notify_one();
    return true;
  }

  void ask_to_stop(const host_protocol::Stop& stop) {
    std::shared_ptr<Work> work;
    {
      const std::lock_guard lock(mutex_);
      work = work_;
    }
    // One that has just ended is nobody's any more. The token's callbacks run here, without the lock.
    if (work && work->run.job == stop.job && work->run.attempt == stop.attempt) work->stop.request_stop();
  }

  bool busy() {
    const std::lock_guard lock(mutex_);
    return work_ != nullptr;
  }

  // ---- the second thread

  void work(const std::stop_token& leave) {
    for (;;) {
      std::shared_ptr<Work> work;
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, leave, [this] { return work_ != nullptr; })) return;
        work = work_;
      }
      TaskEnding ending = run(*work);
      UniqueFd attached;
      const host_protocol::Frame frame = frame_of(*work, std::move(ending), attached);
      const std::lock_guard lock(mutex_);
      if (auto report = work->progress.take()) {
        send(host_protocol::Progress{work->run.job, work->run.attempt, report->value, std::move(report->text)});
      }
      work_ = nullptr;
      send(frame, attached.get());
    }
  }

  /// Null where there is no such task. Loads its plug-in, where it has one and this is the first task of that one here: so a
  /// plug-in that crashes in its constructors takes a task of its own with it. Throws PluginRefused.
  const Task* find(const host_protocol::Run& run) {
    if (!run.plugin) return tasks_.find(run.task);
    auto& tasks = plugin_tasks_[run.plugin->held];
    if (tasks.empty()) tasks = load_plugin(std::make_shared<const PluginFile>(*run.plugin)).tasks;
    const auto found = std::ranges::find(tasks, run.task, &Task::name);
    return found == tasks.end() ? nullptr : &*found;
  }

  TaskEnding run(Work& work) {
    const Task* task = nullptr;
    try {
      task = find(work.run);
    } catch (const PluginRefused& refused) {
      return task_failed("plugin", work.run.plugin->path + ": " + refused.what());
    }
    if (task == nullptr || !task->blocking) {
      return task_failed("unknown_task", "the host process knows no task '" + work.run.task + "' that it can run");
    }
    TaskContext context;
    context.job = work.run.job;
    context.attempt = work.run.attempt;
    context.stop = work.stop.get_token();
    context.deadline = work.run.deadline;
    context.isolated = true;
    context.on_progress = [this, &work](double value, std::string text) {
      constexpr std::uint64_t one = 1;
      if (work.progress.set(value, std::move(text))) static_cast<void>(::write(wake_.get(), &one, sizeof one));
    };
    const Payload& args = work.run.args;
    if (args.kind != Payload::Kind::shared) return run_blocking_task(*task, context, args.text);
    try {
      const SharedPayload payload(work.attached, args.size_bytes, limits::line_bytes_max);
      return run_blocking_task(*task, context, payload.bytes());
    } catch (const Error& error) {
      return task_failed("memory", "the arguments cannot be read: " + error.message());
    }
  }

  /// A payload that is large goes into `attached`.
  static host_protocol::Frame frame_of(const Work& work, TaskEnding ending, UniqueFd& attached) {
    if (auto* returned = std::get_if<EndReport::Returned>(&ending)) {
      std::string& text = returned->result.text;
      if (text.size() < limits::shared_payload_bytes_min) {
        return host_protocol::Returned{work.run.job, work.run.attempt, {Payload::Kind::inlined, std::move(text), 0}};
      }
      try {
        attached = share_payload(text);
        return host_protocol::Returned{work.run.job, work.run.attempt, {Payload::Kind::shared, {}, text.size()}};
      } catch (const Error& error) {
        ending = task_failed("memory", error.message());
      }
    }
    return host_protocol::Failed{work.run.job, work.run.attempt, std::get<EndReport::Failed>(std::move(ending)).error};
  }

  // ---- both, with the lock

  /// Waits while the socket is full. A daemon that is gone is noticed by the main thread.
  void send(const host_protocol::Frame& frame, int attached = -1) {
    const std::string bytes = host_protocol::encode(frame);
    while (send_message(connection_.get(), bytes, attached) == MessageStatus::would_block) {
      // The socket blocks, so this is the system's bound on descriptors under way: it frees itself.
      ::poll(nullptr, 0, 1);
    }
  }

  UniqueFd connection_;        // blocking
  UniqueFd wake_;              // the task has reported progress
  const TaskRegistry& tasks_;  // built in
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::shared_ptr<Work> work_;  // null while idle

  // The second thread's.
  std::map<std::string, std::vector<Task>> plugin_tasks_;  // of the plug-ins that were loaded, by PluginFile::held

  // The main thread's.
  bool progress_due_ = false;
  Clock::time_point progress_at_{};
  Clock::time_point last_progress_{};
};

}  // namespace

int host_main(int listen_fd, const TaskRegistry& tasks) {
  prepare_process();
  UniqueFd connection = accept_one(listen_fd);
  if (!connection) return 1;
  const int status = Host(std::move(connection), tasks).serve();
  ::prctl(PR_SET_DUMPABLE, 1);  // leak checkers look at the process when it ends
  return status;
}

}  // namespace stint::worker
