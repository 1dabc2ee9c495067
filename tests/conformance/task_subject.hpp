// The executors of tasks under test: thread, coroutine on the daemon's context, coroutine on the second, host process.
#pragma once

#include "common/task_api.hpp"
#include "daemon/exec/thread_executor.hpp"
#include "tests/conformance/spawned_workers.hpp"
#include "tests/conformance/subject.hpp"

namespace stint::test {

enum class TaskPlace { thread, coroutine_instant, coroutine_inline, coroutine_second, host };

class TaskSubject final : public Subject {
 public:
  TaskSubject(TaskPlace place, boost::asio::io_context& io, exec::Observer& observer);
  ~TaskSubject() override;

  [[nodiscard]] exec::Executor& executor() override { return *executor_; }
  void release(std::function<void()> done) override;
  [[nodiscard]] std::size_t slots() const override;
  [[nodiscard]] bool isolated() const override { return place_ == TaskPlace::host; }

  [[nodiscard]] JobSpec says(const std::string& text) const override;
  [[nodiscard]] std::string said(const EndReport& end) const override;
  [[nodiscard]] JobSpec fails() const override;
  [[nodiscard]] JobSpec sleeps(double seconds) const override;
  [[nodiscard]] JobSpec ignores_stop(double seconds) const override;
  [[nodiscard]] JobSpec produces(std::size_t bytes) const override;
  [[nodiscard]] std::size_t produced(const EndReport& end) const override;
  [[nodiscard]] std::optional<JobSpec> crashes() const override;
  [[nodiscard]] std::optional<JobSpec> reports() const override;

  /// Of hosts; null elsewhere.
  [[nodiscard]] SpawnedWorkers* workers() { return workers_.get(); }

 private:
  TaskPlace place_;
  TaskRegistry tasks_;
  std::unique_ptr<SpawnedWorkers> workers_;
  std::unique_ptr<exec::ThreadExecutor> helper_;  // for what a host executor offloads
  std::unique_ptr<exec::Executor> executor_;
};

/// A job of `task` with these arguments as JSON text.
[[nodiscard]] JobSpec task_job(const std::string& task, std::string args = "");

}  // namespace stint::test
