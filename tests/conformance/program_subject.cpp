#include "tests/conformance/program_subject.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>

namespace stint::test {

ScratchFolder::ScratchFolder() {
  std::string name = std::filesystem::temp_directory_path() / "stint-test-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

ProgramSubject::ProgramSubject(boost::asio::io_context& io, exec::Observer& observer, ProgramEra era)
    : folder_(std::move(era.folder)) {
  static std::atomic<int> count = 0;
  std::filesystem::create_directory(out_dir());
  workers_ = std::make_unique<exec::ZygoteWorkers>(io, STINT_TEST_WORKER, folder_->path());
  exec::ProcessOptions options;
  options.out_dir = out_dir();
  options.instance = "test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
  options.socket_path = folder_->path() / "stint.sock";
  options.runners = era.runners;
  options.slots = era.slots;
  options.epoch = era.epoch;
  executor_ = std::make_unique<exec::ProcessExecutor>(io, *workers_, observer, options);
  executor_->recover(std::move(era.expected), era.rebooted, [this] { recovered_ = true; });
}

ProgramSubject::~ProgramSubject() = default;

JobSpec command_job(std::vector<std::string> command) {
  JobSpec spec;
  spec.command = std::move(command);
  return spec;
}

JobSpec shell_job(const std::string& line) {
  JobSpec spec;
  spec.shell = line;
  return spec;
}

JobSpec ProgramSubject::says(const std::string& text) const { return command_job({"printf", "%s", text}); }

std::string ProgramSubject::said(const EndReport& end) const {
  if (const auto* exited = std::get_if<EndReport::Exited>(&end.ending); exited == nullptr || exited->code != 0)
    return "(it failed)";
  return end.stdout_content ? end.stdout_content->bytes : "(no output)";
}

JobSpec ProgramSubject::fails() const { return shell_job("echo no luck >&2; exit 3"); }
JobSpec ProgramSubject::sleeps(double seconds) const { return command_job({"sleep", std::to_string(seconds)}); }
JobSpec ProgramSubject::ignores_stop(double seconds) const {
  return shell_job("trap '' TERM; echo ready; sleep " + std::to_string(seconds));
}
std::optional<JobSpec> ProgramSubject::crashes() const { return shell_job("kill -SEGV $$"); }
JobSpec ProgramSubject::produces(std::size_t bytes) const { return shell_job("head -c " + std::to_string(bytes) + " /dev/zero"); }
std::size_t ProgramSubject::produced(const EndReport& end) const {
  return end.stdout_content ? end.stdout_content->size.bytes : 0;
}

std::vector<SubjectMaker> program_subjects() {
  return {{"program",
           [](boost::asio::io_context& io, exec::Observer& observer) { return std::make_unique<ProgramSubject>(io, observer); }}};
}

}  // namespace stint::test
