// Runs the blocking form of tasks on a pool of threads, with a stop token each.
//
// A thread cannot be killed: a task that ignores its token keeps its slot until it returns, also past its grace, and
// `close` waits for it. One thread more than slots is kept for `offload`, so that decoding never waits for tasks.
// I/O thread only; tasks and offloaded work run on the pool, which reports through one mailbox.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <stop_token>

#include "daemon/exec/mailbox.hpp"
#include "daemon/exec/task_executor.hpp"

namespace stint::exec {

class ThreadExecutor final : public TaskExecutor {
 public:
  /// `threads` is the number of slots: of tasks that run at once.
  ThreadExecutor(boost::asio::io_context& io, Observer& observer, const TaskRegistry& tasks, std::size_t threads);
  /// Without `close`: sets every token and waits for the tasks; their ends are not reported.
  ~ThreadExecutor() override;

  /// Runs `work`, which must not throw, on a thread of the pool, then `done` (where there is one) on the I/O thread.
  void offload(std::function<void()> work, std::function<void()> done = {});

 private:
  struct Run : TaskRun {
    using TaskRun::TaskRun;
    std::stop_source stop;
  };
  struct Event {
    enum class Kind : std::uint8_t { began, progress, ended, offloaded } kind{};
    RunPtr run;
    Time at{};
    TaskEnding ending;
    std::function<void()> done;
  };

  [[nodiscard]] RunPtr make_run(Order order, const Task* task) const override;
  [[nodiscard]] bool can_run(const Task& task) const override { return task.runs_on(ExecutorKind::thread); }
  void launch(const RunPtr& run) override;
  void ask_to_stop(const RunPtr& run) override;
  void release(std::function<void()> done) override;
  void receive(Event event);

  std::stop_source all_;  // set by the destructor
  Mailbox<Event> mailbox_;
  boost::asio::thread_pool pool_;  // last: its threads use what stands above
};

}  // namespace stint::exec
