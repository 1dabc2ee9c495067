// What the thread, coroutine and host executors have in common: the I/O thread's side of running tasks.
//
// It keeps the runs, their deadlines and what was asked of them, and sees to it that each start is answered by exactly
// one end. How a task is begun and told to stop is the derived executor's. The observer is never called from inside
// start, stop or close. I/O thread only; `alive_token` guards what comes back from elsewhere.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "common/progress_cell.hpp"
#include "common/task_run.hpp"
#include "daemon/exec/deadlines.hpp"
#include "daemon/exec/executor.hpp"

namespace stint::exec {

/// One run of a task. The members of the I/O thread are touched by it alone; derived executors add theirs.
struct TaskRun : std::enable_shared_from_this<TaskRun> {
  TaskRun(Order the_order, const Task* the_task) : order(std::move(the_order)), task(the_task) {}
  virtual ~TaskRun() = default;
  TaskRun(const TaskRun&) = delete;
  TaskRun& operator=(const TaskRun&) = delete;

  [[nodiscard]] std::string_view args_text() const { return task_args_text(*order.spec, order.item.get()); }

  const Order order;
  const Task* const task;  ///< null where no such task is registered
  ProgressCell progress;   ///< any thread

  // I/O thread
  bool launched = false;   ///< handed to the derived executor
  bool asked = false;      ///< told to stop: its grace runs
  bool stopped = false;    ///< by `stop`
  bool forced = false;     ///< by `stop` with force
  bool timed_out = false;  ///< by its timeout
  std::optional<Deadlines::Handle> deadline;
  std::optional<Deadlines::Handle> next_progress;
};

class TaskExecutor : public Executor {
 public:
  TaskExecutor(boost::asio::io_context& io, Observer& observer, const TaskRegistry& tasks);
  ~TaskExecutor() override;
  TaskExecutor(const TaskExecutor&) = delete;
  TaskExecutor& operator=(const TaskExecutor&) = delete;

  void start(Order order) final;
  void stop(JobId id, Attempt attempt, bool force) final;
  void close(std::function<void()> done) final;

 protected:
  using RunPtr = std::shared_ptr<TaskRun>;

  [[nodiscard]] virtual RunPtr make_run(Order order, const Task* task) const = 0;
  /// True where this executor can run it.
  [[nodiscard]] virtual bool can_run(const Task& task) const = 0;
  /// Begins it, at once or later; answers with `began` and `ended`.
  virtual void launch(const RunPtr& run) = 0;
  /// Sets the stop token of a run that was launched. May be repeated, then perhaps with `run.forced`.
  virtual void ask_to_stop(const RunPtr& run) = 0;
  /// The grace of a run that was asked to stop has passed. Where nothing more can be done, nothing is.
  virtual void on_grace_over(const RunPtr&) {}
  /// No run is left and none will come: give threads and processes back, then call `done`.
  virtual void release(std::function<void()> done) = 0;

  // What the derived executor reports, on the I/O thread and never from inside one of the calls above.
  void began(const RunPtr& run, Started started);
  /// `run->progress` has news.
  void progressed(const RunPtr& run);
  void ended(const RunPtr& run, TaskEnding ending, Time finished_at);

  /// Calls `work` soon on the I/O thread, unless this object is gone by then.
  void post(std::function<void()> work);

  /// Work besides runs that `close` waits for.
  void hold() { ++held_; }
  void unhold();

  [[nodiscard]] bool closing() const { return closing_; }
  [[nodiscard]] boost::asio::io_context& io() { return io_; }

 private:
  void launch_soon();
  void launch_fresh();
  void on_due(Deadlines::Entry entry);
  void ask(const RunPtr& run);
  void look_for_end();
  void drop(std::optional<Deadlines::Handle>& handle);

  boost::asio::io_context& io_;
  Observer& observer_;
  const TaskRegistry& tasks_;
  /// The context must not run dry while threads are at work for it.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::unordered_flat_map<JobId, RunPtr> runs_;
  std::deque<RunPtr> fresh_;  // started, not yet launched: so many together by one post
  Deadlines deadlines_;
  std::size_t held_ = 0;
  bool closing_ = false;
  bool releasing_ = false;
  std::function<void()> closed_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace stint::exec
