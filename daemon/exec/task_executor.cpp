#include "daemon/exec/task_executor.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace stint::exec {
namespace {

/// Others have their turn between: an instant task is over when it is launched.
constexpr std::size_t launches_a_turn = 128;

}  // namespace

TaskExecutor::TaskExecutor(boost::asio::io_context& io, Observer& observer, const TaskRegistry& tasks)
    : io_(io), observer_(observer), tasks_(tasks), work_(io.get_executor()), deadlines_(io, [this](Deadlines::Entry entry) {
        on_due(entry);
      }) {}

TaskExecutor::~TaskExecutor() { *alive_ = false; }

void TaskExecutor::start(Order order) {
  const Task* task = order.spec->task ? tasks_.find(*order.spec->task) : nullptr;
  const JobId id = order.id;
  RunPtr run = make_run(std::move(order), task);
  runs_.insert_or_assign(id, run);
  fresh_.push_back(std::move(run));
  if (fresh_.size() == 1) launch_soon();
}

void TaskExecutor::launch_soon() {
  boost::asio::post(io_, [this, alive = alive_] {
    if (*alive) launch_fresh();
  });
}

void TaskExecutor::launch_fresh() {
  // What is launched stays at the front until the turn is over, so that what it starts posts no turn of its own.
  const std::size_t count = std::min(launches_a_turn, fresh_.size());
  for (std::size_t i = 0; i < count; ++i) {
    const RunPtr run = std::move(fresh_[i]);
    if (run->stopped) {
      ended(run, task_failed("stopped", "the task was stopped before it began"), wall_now());
    } else if (run->task == nullptr || !can_run(*run->task)) {
      ended(run,
            task_failed("unknown_task", "task '" + run->order.spec->task.value_or("") + "' is not registered for this executor"),
            wall_now());
    } else {
      run->launched = true;
      launch(run);
    }
  }
  fresh_.erase(fresh_.begin(), fresh_.begin() + static_cast<std::ptrdiff_t>(count));
  if (!fresh_.empty()) launch_soon();
}

void TaskExecutor::stop(JobId id, Attempt attempt, bool force) {
  const auto found = runs_.find(id);
  if (found == runs_.end() || found->second->order.attempt != attempt) return;
  const RunPtr run = found->second;
  run->stopped = true;
  run->forced = run->forced || force;
  if (run->launched) ask(run);
}

void TaskExecutor::ask(const RunPtr& run) {
  // The first request starts the grace; one that is repeated does not lengthen it.
  if (!std::exchange(run->asked, true)) {
    drop(run->deadline);
    run->deadline = deadlines_.add(run->order.spec->grace, {run->order.id, Due::grace});
  }
  ask_to_stop(run);
}

void TaskExecutor::on_due(Deadlines::Entry entry) {
  const auto found = runs_.find(entry.id);
  if (found == runs_.end()) return;
  const RunPtr run = found->second;
  switch (entry.due) {
    case Due::timeout:
      run->deadline.reset();
      run->timed_out = true;
      ask(run);
      observer_.on_stopping(entry.id, run->order.attempt);
      break;
    case Due::grace:
      run->deadline.reset();
      on_grace_over(run);
      break;
    case Due::progress:
      run->next_progress.reset();
      progressed(run);
      break;
  }
}

void TaskExecutor::began(const RunPtr& run, Started started) {
  const JobSpec& spec = *run->order.spec;
  if (spec.timeout && !run->stopped) run->deadline = deadlines_.add(*spec.timeout, {run->order.id, Due::timeout});
  observer_.on_started(run->order.id, run->order.attempt, std::move(started));
}

void TaskExecutor::progressed(const RunPtr& run) {
  if (run->next_progress) return;
  auto report = run->progress.take();
  if (!report) return;
  run->next_progress = deadlines_.add(progress_interval, {run->order.id, Due::progress});
  observer_.on_progress(run->order.id, run->order.attempt, report->value, std::move(report->text));
}

void TaskExecutor::ended(const RunPtr& run, TaskEnding ending, Time finished_at) {
  drop(run->deadline);
  drop(run->next_progress);
  runs_.erase(run->order.id);
  if (auto report = run->progress.take()) {
    observer_.on_progress(run->order.id, run->order.attempt, report->value, std::move(report->text));
  }
  EndReport report;
  std::visit([&report](auto& kind) { report.ending = std::move(kind); }, ending);
  report.timed_out = run->timed_out;
  report.stopped = run->stopped;
  report.finished_at = finished_at;
  observer_.on_ended(run->order.id, run->order.attempt, std::move(report));
  look_for_end();
}

void TaskExecutor::drop(std::optional<Deadlines::Handle>& handle) {
  if (handle) deadlines_.remove(*handle);
  handle.reset();
}

void TaskExecutor::unhold() {
  --held_;
  look_for_end();
}

void TaskExecutor::close(std::function<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  std::vector<RunPtr> all;
  for (const auto& [id, run] : runs_) all.push_back(run);
  for (const RunPtr& run : all) stop(run->order.id, run->order.attempt, false);
  look_for_end();
}

void TaskExecutor::look_for_end() {
  if (!closing_ || releasing_ || !runs_.empty() || held_ > 0) return;
  releasing_ = true;
  post([this] {
    release([this] {
      work_.reset();
      const auto done = std::move(closed_);
      done();
    });
  });
}

void TaskExecutor::post(std::function<void()> work) {
  boost::asio::post(io_, [work = std::move(work), alive = alive_] {
    if (*alive) work();
  });
}

}  // namespace stint::exec
