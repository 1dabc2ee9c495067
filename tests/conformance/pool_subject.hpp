// The executor of pools under test, with a real zygote, a real runner and a small shell script as the worker.
//
// I/O thread only; the directory goes with the object.
#pragma once

#include <memory>

#include "daemon/exec/pool_executor.hpp"
#include "daemon/exec/zygote_workers.hpp"
#include "tests/conformance/program_subject.hpp"
#include "tests/conformance/subject.hpp"

namespace stint::test {

class PoolSubject final : public Subject {
 public:
  PoolSubject(boost::asio::io_context& io, exec::Observer& observer);

  [[nodiscard]] exec::Executor& executor() override { return *executor_; }
  void release(std::function<void()> done) override { workers_->close(std::move(done)); }
  [[nodiscard]] std::size_t slots() const override { return 6; }
  [[nodiscard]] bool isolated() const override { return true; }

  [[nodiscard]] JobSpec says(const std::string& text) const override;
  [[nodiscard]] std::string said(const EndReport& end) const override;
  [[nodiscard]] JobSpec fails() const override;
  [[nodiscard]] JobSpec sleeps(double seconds) const override;
  [[nodiscard]] JobSpec ignores_stop(double seconds) const override;
  [[nodiscard]] JobSpec produces(std::size_t bytes) const override;
  [[nodiscard]] std::size_t produced(const EndReport& end) const override;
  [[nodiscard]] std::optional<JobSpec> crashes() const override;
  [[nodiscard]] std::optional<JobSpec> reports() const override;

 private:
  ScratchFolder folder_;
  std::unique_ptr<exec::ZygoteWorkers> workers_;
  std::unique_ptr<exec::PoolExecutor> executor_;
};

[[nodiscard]] std::vector<SubjectMaker> pool_subjects();

}  // namespace stint::test
