// Runs the coroutine form of tasks: tens of thousands at once on two threads.
//
// Tasks marked inline share the daemon's own io_context, so a short wait costs no change of thread, and instant ones are
// plain calls there; all others, and those whose arguments are large, have a second io_context with a thread of its own, so that
// what they compute holds up nobody's requests. Cancel and timeout set the run's stop token and emit its cancellation signal,
// both on the coroutine's own context; the executor owns every coroutine and `close` waits for all. I/O thread only.
#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <stop_token>
#include <thread>

#include "daemon/exec/mailbox.hpp"
#include "daemon/exec/task_executor.hpp"

namespace stint::exec {

class CoroutineExecutor final : public TaskExecutor {
 public:
  CoroutineExecutor(boost::asio::io_context& io, Observer& observer, const TaskRegistry& tasks);
  /// Without `close`: coroutines that still run are destroyed where they stand; their ends are not reported. Those of
  /// the daemon's own context go with that context.
  ~CoroutineExecutor() override;

 private:
  struct Run;
  using CoroutinePtr = std::shared_ptr<Run>;
  /// Something that a coroutine of the second context has to tell.
  struct Event {
    enum class Kind : std::uint8_t { began, progress, ended } kind{};
    RunPtr run;
    Time at{};
    TaskEnding ending;
  };

  [[nodiscard]] static bool is_small(const Order& order);
  [[nodiscard]] RunPtr make_run(Order order, const Task* task) const override;
  [[nodiscard]] bool can_run(const Task& task) const override { return task.runs_on(ExecutorKind::coroutine); }
  void launch(const RunPtr& run) override;
  void ask_to_stop(const RunPtr& run) override;
  void release(std::function<void()> done) override;

  // On the thread of the run's context.
  void begin(const CoroutinePtr& run);
  void tell(Event event);
  // On the I/O thread.
  void receive(Event event);
  void run_instantly(const RunPtr& run);
  void spawn_thread();

  Mailbox<Event> events_;
  boost::asio::io_context second_{1};
  Mailbox<CoroutinePtr> begins_;  // to the second context
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> second_work_;
  std::thread thread_;  // of the second context; started with its first run
};

}  // namespace stint::exec
