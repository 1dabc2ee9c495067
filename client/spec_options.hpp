// The options that make a job: shared by run, submit and map, built into the same JobSpec that the daemon decodes.
//
// The CLI sends its working directory, umask and environment (less STINT_*) with a program. Throws UsageError for what
// no daemon needs to be asked about; the rest is the daemon's to refuse. Main thread (umask).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/options.hpp"
#include "common/job.hpp"

namespace stint::cli {

class SpecOptions {
 public:
  void declare(Options& options);

  /// The job for `words` (a program with its arguments, empty with --task or --shell).
  [[nodiscard]] JobSpec build(const std::vector<std::string>& words) const;
  /// The same for one job, with its arguments: those of --args; with --pool the message may stand as the only word.
  [[nodiscard]] JobSpec build_one(const std::vector<std::string>& words) const;

  [[nodiscard]] const std::optional<std::string>& task() const { return task_; }
  [[nodiscard]] const std::optional<std::string>& pool() const { return pool_; }
  [[nodiscard]] const std::optional<std::string>& args() const { return args_; }
  [[nodiscard]] const std::optional<std::string>& shell() const { return shell_; }
  [[nodiscard]] const std::optional<std::string>& group() const { return group_; }
  [[nodiscard]] bool has_stdin_file() const { return stdin_file_.has_value(); }

 private:
  void set_work(JobSpec& spec, const std::vector<std::string>& words) const;
  void set_surroundings(JobSpec& spec) const;
  void set_files(JobSpec& spec) const;
  void set_times(JobSpec& spec) const;
  void set_retry(JobSpec& spec) const;
  void set_permits(JobSpec& spec) const;

  std::optional<std::string> task_;
  std::optional<std::string> pool_;
  std::optional<std::string> args_;
  std::optional<std::string> shell_;
  std::optional<std::string> executor_;
  std::optional<std::string> name_;
  std::vector<std::string> tags_;
  std::optional<std::string> group_;
  std::optional<std::int64_t> priority_;
  std::optional<std::string> cwd_;
  std::vector<std::string> env_;
  bool clean_env_ = false;
  std::optional<std::uint64_t> retry_;
  std::optional<Duration> retry_delay_;
  std::vector<std::string> retry_on_;
  std::optional<Duration> delay_;
  std::optional<std::string> at_;
  std::optional<Duration> expires_;
  std::optional<Duration> keep_;
  std::optional<Duration> timeout_;
  std::optional<Duration> grace_;
  std::optional<std::uint64_t> output_limit_;
  std::optional<std::string> leftovers_;
  std::vector<std::string> locks_;
  std::vector<std::string> semaphores_;
  std::optional<std::string> concurrency_;
  bool daemon_ = false;
  bool no_durable_ = false;
  std::optional<std::string> stdin_file_;
  std::optional<std::string> stdout_file_;
  std::optional<std::string> stderr_file_;
  bool append_ = false;
  bool merge_ = false;
};

/// Parameters of job.submit.
[[nodiscard]] std::string submit_request(const JobSpec& spec);

/// `text` as JSON, minified; throws UsageError that says where it is wrong. `what` names it.
[[nodiscard]] json::Raw parse_json(std::string_view text, std::string_view what);

/// An absolute path of `path` seen from here.
[[nodiscard]] std::string absolute_path(const std::string& path);
/// The working directory and the umask of this process, as a job gets them.
[[nodiscard]] std::string current_directory();
[[nodiscard]] Umask current_umask();

}  // namespace stint::cli
