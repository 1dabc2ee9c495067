// Runs the blocking form of tasks in host processes: isolated, with real parallelism, killed where they do not stop.
//
// One task at a time a host. A host is started when a task wants one and none is idle, up to the number of slots, and
// kept; one that dies takes its own task with it (`crashed`) and nothing else, and the next task gets another. Large
// arguments and results pass as sealed memory and are copied and checked on other threads: what a host sends is not
// trusted to be JSON. I/O thread only.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>

#include "daemon/exec/host_link.hpp"
#include "daemon/exec/task_executor.hpp"
#include "daemon/exec/workers.hpp"

namespace stint::exec {

class HostExecutor final : public TaskExecutor {
 public:
  /// Runs the first function on some other thread, then the second on the I/O thread: ThreadExecutor::offload. It must
  /// serve until this executor is closed.
  using Offload = std::function<void(std::function<void()> work, std::function<void()> done)>;

  /// `hosts` is the number of slots: of tasks that run at once.
  HostExecutor(boost::asio::io_context& io, Workers& workers, Observer& observer, const TaskRegistry& tasks, std::size_t hosts,
               Offload offload);
  ~HostExecutor() override;

 private:
  struct Run : TaskRun {
    using TaskRun::TaskRun;
    HostLink* link = nullptr;  // whose task it is
  };
  using HostRunPtr = std::shared_ptr<Run>;
  /// One host process, from its start until its death is told.
  struct Host {
    std::shared_ptr<HostLink> link;
    HostRunPtr run;  // null while idle
    bool closed = false;
  };
  using HostPtr = std::shared_ptr<Host>;

  [[nodiscard]] RunPtr make_run(Order order, const Task* task) const override;
  [[nodiscard]] bool can_run(const Task& task) const override { return task.runs_on(ExecutorKind::process); }
  void launch(const RunPtr& run) override;
  void ask_to_stop(const RunPtr& run) override;
  void on_grace_over(const RunPtr& run) override;
  void release(std::function<void()> done) override;

  /// Gives waiting runs to idle hosts, and starts hosts where more are wanted.
  void serve();
  void spawn();
  void on_spawned(const std::optional<Error>& error, Worker worker);
  void on_spawn_failed(const Error& error);
  void assign(const HostPtr& host, const HostRunPtr& run);
  void send_run(const HostPtr& host, const HostRunPtr& run, host_protocol::Payload args, UniqueFd file);
  void on_frame(const HostPtr& host, host_protocol::Frame frame, UniqueFd attached);
  void on_returned(const HostPtr& host, host_protocol::Returned frame, UniqueFd attached);
  void finish(const HostPtr& host, TaskEnding ending);
  void on_closed(const HostPtr& host);
  void on_death(const HostPtr& host, const WorkerDeath& death);
  void look_for_release();

  Workers& workers_;
  const std::size_t hosts_max_;
  Offload offload_;
  std::map<std::string, HostPtr> hosts_;  // by name
  std::deque<HostRunPtr> waiting_;
  std::size_t spawning_ = 0;
  int spawn_failures_ = 0;  // in a row
  bool retrying_ = false;
  boost::asio::steady_timer retry_timer_;
  std::function<void()> released_;
  std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace stint::exec
