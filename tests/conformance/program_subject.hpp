// The process executor for programs under test, with a real zygote and real runners, in a directory of its own.
//
// The jobs are small shell scripts. I/O thread only; the directory goes with the object.
#pragma once

#include <filesystem>
#include <memory>

#include "daemon/exec/process_executor.hpp"
#include "daemon/exec/zygote_workers.hpp"
#include "tests/conformance/subject.hpp"

namespace stint::test {

/// A directory that goes with the object.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A daemon's place among those that use one state directory after the other.
struct ProgramEra {
  std::shared_ptr<ScratchFolder> folder = std::make_shared<ScratchFolder>();
  std::size_t runners = 2;
  std::uint32_t slots = 10'000;
  std::uint32_t epoch = 1;
  std::vector<worker::Run> expected = {};  ///< runs of the one before
  bool rebooted = false;
};

class ProgramSubject final : public Subject {
 public:
  ProgramSubject(boost::asio::io_context& io, exec::Observer& observer, ProgramEra era = {});
  ~ProgramSubject() override;

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

  [[nodiscard]] exec::ProcessExecutor& programs() { return *executor_; }
  [[nodiscard]] exec::ZygoteWorkers& workers() { return *workers_; }
  [[nodiscard]] std::filesystem::path state() const { return folder_->path(); }
  [[nodiscard]] std::string out_dir() const { return folder_->path() / "out"; }
  /// All that was expected is accounted for.
  [[nodiscard]] bool recovered() const { return recovered_; }

 private:
  std::shared_ptr<ScratchFolder> folder_;
  bool recovered_ = false;
  std::unique_ptr<exec::ZygoteWorkers> workers_;
  std::unique_ptr<exec::ProcessExecutor> executor_;
};

[[nodiscard]] JobSpec command_job(std::vector<std::string> command);
[[nodiscard]] JobSpec shell_job(const std::string& line);

[[nodiscard]] std::vector<SubjectMaker> program_subjects();

}  // namespace stint::test
