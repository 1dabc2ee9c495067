#include "client/spec_options.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <utility>

#include "client/failure.hpp"
#include "client/terminal.hpp"
#include "common/json.hpp"

namespace stint::cli {
namespace {

constexpr double epoch_seconds_max = 1e11;  // as the protocol has it

void require_utf8(const std::string& text, const std::string& what) {
  if (!json::is_utf8(text)) throw UsageError(what + " is not UTF-8, which the protocol needs");
}

/// This process's environment as a job gets it; what the protocol cannot carry is left out and named.
std::map<std::string, std::string> own_environment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view pair(*entry);
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0 || pair.starts_with("STINT_")) continue;
    if (!json::is_utf8(pair)) {
      note("the environment variable " + printable(pair.substr(0, equals)) + " is not UTF-8 and was left out");
      continue;
    }
    out.emplace(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return out;
}

}  // namespace

void SpecOptions::declare(Options& options) {
  options.heading("Work");
  options.text("-c,--shell", shell_, "run TEXT by /bin/sh -c instead of a program", "TEXT");
  options.text("--task", task_, "run a registered task (see `stint tasks`) instead of a program", "NAME");
  options.text("--pool", pool_, "a message to a worker of this pool instead (see `stint pool`)", "NAME");
  options.text("--args", args_, "the task's arguments, or the message", "JSON");
  options.choice("--executor", executor_, "where a task runs", json::EnumNames<ExecutorKind>::names);

  options.heading("Job");
  options.text("--name", name_, "label", "NAME");
  options.list("--tag", tags_, "label; may be repeated", "TAG");
  options.text("--group", group_, "set of jobs to be waited for, streamed or cancelled together", "NAME");
  options.integer("--priority", priority_, "higher runs first", -limits::priority_max, limits::priority_max);
  options.text("--cwd", cwd_, "working directory; default: this one", "DIR");
  options.list("--env", env_, "set a variable, or with NAME alone hand on this one; may be repeated", "NAME[=VALUE]");
  options.flag("--clean-env", clean_env_, "nothing but what --env names");
  options.duration("--timeout", timeout_, "stop it after so long");
  options.duration("--grace", grace_, "from the stop request to SIGKILL; default 5s");
  options.choice("--leftovers", leftovers_, "processes that it leaves running: kill (default) or keep",
                 json::EnumNames<Leftovers>::names);
  options.number("--retry", retry_, "run it again, up to N times, after an attempt that did not succeed", 1, limits::retries_max);
  options.duration("--retry-delay", retry_delay_, "before the second attempt; twice as long before each further one; default 1s");
  options.list("--retry-on", retry_on_, "failed, timed_out or lost; may be repeated; default the first two", "END");
  options.duration("--delay", delay_, "do not start it before so long");
  options.text("--at", at_, "do not start it before this time: seconds since the epoch, as `date +%s` gives them", "TIME");
  options.duration("--expires", expires_, "end it as expired where it has not started after so long");
  options.duration("--keep", keep_, "keep its record and output so long");
  options.list("--lock", locks_, "hold this lock while it runs; may be repeated", "NAME");
  options.list("--semaphore", semaphores_, "hold N permits (default 1) while it runs; may be repeated", "NAME[=N]");
  options.text("--concurrency", concurrency_, "start only while fewer than N run with this key", "KEY=N");
  options.flag("--daemon-job", daemon_, "does not keep a draining daemon alive");
  options.flag("--no-durable", no_durable_, "keep it in memory only");

  options.heading("Input and output of the job");
  options.text("--stdin-file", stdin_file_, "the job reads this file", "FILE");
  options.text("--stdout-file", stdout_file_, "the job writes this file; nothing is captured", "FILE");
  options.text("--stderr-file", stderr_file_, "likewise for standard error", "FILE");
  options.flag("--append", append_, "append to these files");
  options.flag("--merge", merge_, "standard error goes where standard output goes");
  options.size("--output-limit", output_limit_, "kept of each stream; past it head and tail; default 16M");
  options.exclusive({"--stderr-file", "--merge"});
  options.exclusive({"--delay", "--at"});
}

JobSpec SpecOptions::build(const std::vector<std::string>& words) const {
  JobSpec spec;
  set_work(spec, words);
  if (executor_) spec.executor = json::enum_value<ExecutorKind>(*executor_);
  spec.name = name_;
  spec.tags = tags_;
  spec.group = group_;
  if (priority_) spec.priority = static_cast<std::int32_t>(*priority_);
  set_times(spec);
  set_retry(spec);
  set_permits(spec);
  if (grace_) spec.grace = *grace_;
  if (output_limit_) spec.output_limit = *output_limit_;
  if (leftovers_) spec.leftovers = *json::enum_value<Leftovers>(*leftovers_);
  spec.daemon = daemon_;
  spec.durable = !no_durable_;
  if (spec.is_program()) set_surroundings(spec);
  set_files(spec);
  return spec;
}

JobSpec SpecOptions::build_one(const std::vector<std::string>& words) const {
  const bool is_message = pool_ && !args_ && words.size() == 1;
  JobSpec spec = build(is_message ? std::vector<std::string>() : words);
  if (is_message) spec.args = parse_json(words.front(), "the message");
  if (args_) spec.args = parse_json(*args_, "--args");
  return spec;
}

void SpecOptions::set_times(JobSpec& spec) const {
  spec.timeout = timeout_;
  spec.delay = delay_;
  spec.expires = expires_;
  spec.keep = keep_;
  if (!at_) return;
  double seconds = 0;
  const auto [end, error] = std::from_chars(at_->data(), at_->data() + at_->size(), seconds);
  if (error != std::errc() || end != at_->data() + at_->size() || !(seconds >= 0 && seconds <= epoch_seconds_max)) {
    throw UsageError("--at: seconds since the epoch, for example $(date +%s -d 'tomorrow 6:00')");
  }
  spec.at = Time{from_seconds(seconds)};
}

namespace {

/// The name, and the number behind its last "=".
std::pair<std::string, std::optional<std::uint64_t>> named_number(const std::string& text, const std::string& option) {
  const auto equals = text.rfind('=');
  if (equals == std::string::npos) return {text, std::nullopt};
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + equals + 1, end, number);
  if (error != std::errc{} || rest != end) throw UsageError(option + " " + printable(text) + ": no number stands behind the =");
  return {text.substr(0, equals), number};
}

}  // namespace

void SpecOptions::set_permits(JobSpec& spec) const {
  spec.locks = locks_;
  for (const std::string& text : semaphores_) {
    const auto [name, permits] = named_number(text, "--semaphore");
    spec.semaphores[name] = permits.value_or(1);
  }
  if (!concurrency_) return;
  const auto [key, limit] = named_number(*concurrency_, "--concurrency");
  if (!limit) throw UsageError("--concurrency KEY=N: N is missing");
  spec.concurrency = Concurrency{key, *limit};
}

void SpecOptions::set_retry(JobSpec& spec) const {
  if (!retry_ && (retry_delay_ || !retry_on_.empty())) throw UsageError("--retry-delay and --retry-on stand only beside --retry");
  if (!retry_) return;
  spec.retry.max = static_cast<std::uint32_t>(*retry_);
  if (retry_delay_) spec.retry.delay = *retry_delay_;
  if (retry_on_.empty()) return;
  spec.retry.on.clear();
  for (const auto& word : retry_on_) {
    const auto cause = json::enum_value<RetryCause>(word);
    if (!cause) throw UsageError("--retry-on: failed, timed_out or lost, not '" + printable(word) + "'");
    if (std::ranges::find(spec.retry.on, *cause) == spec.retry.on.end()) spec.retry.on.push_back(*cause);
  }
}

void SpecOptions::set_work(JobSpec& spec, const std::vector<std::string>& words) const {
  const int kinds = int(!words.empty()) + int(shell_.has_value()) + int(task_.has_value()) + int(pool_.has_value());
  constexpr const char* works = "a program with its arguments, --shell TEXT, --task NAME, or --pool NAME";
  if (kinds == 0) throw UsageError(std::string("nothing to run: give ") + works);
  if (kinds > 1) throw UsageError(std::string("only one of: ") + works);
  if (args_ && !task_ && !pool_) throw UsageError("--args stands only beside --task or --pool");
  for (std::size_t i = 0; i < words.size(); ++i) require_utf8(words[i], "argument " + std::to_string(i));
  if (!words.empty()) spec.command = words;
  spec.shell = shell_;
  spec.task = task_;
  spec.pool = pool_;
}

void SpecOptions::set_surroundings(JobSpec& spec) const {
  spec.cwd = cwd_ ? absolute_path(*cwd_) : current_directory();
  require_utf8(*spec.cwd, "the working directory");
  spec.umask = current_umask();
  spec.clean_env = true;
  if (!clean_env_) spec.env = own_environment();
  for (const auto& entry : env_) {
    const auto equals = entry.find('=');
    const std::string name = entry.substr(0, equals);
    if (equals != std::string::npos) {
      spec.env[name] = entry.substr(equals + 1);
    } else if (const char* own = std::getenv(name.c_str()); own != nullptr) {
      spec.env[name] = own;
    } else {
      throw UsageError("--env " + name + ": there is no such variable here; set one with --env " + name + "=VALUE");
    }
  }
}

void SpecOptions::set_files(JobSpec& spec) const {
  if (append_ && !stdout_file_ && !stderr_file_) throw UsageError("--append stands only beside --stdout-file or --stderr-file");
  if (stdin_file_) spec.stdin_source.source = StdinSource::File{absolute_path(*stdin_file_)};
  if (stdout_file_) spec.stdout_target.target = OutputTarget::File{absolute_path(*stdout_file_), append_};
  if (stderr_file_) spec.stderr_target.target = OutputTarget::File{absolute_path(*stderr_file_), append_};
  if (merge_) spec.stderr_target.target = OutputTarget::ToStdout{};
}

std::string submit_request(const JobSpec& spec) { return R"({"job":)" + json::encode_text(spec) + "}"; }

json::Raw parse_json(std::string_view text, std::string_view what) {
  try {
    json::Parser parser;
    return json::raw_of(parser.parse_copy(text));
  } catch (const Error& error) {
    std::string message = std::string(what) + ": " + error.message();
    if (error.offset) message += " at byte " + std::to_string(*error.offset);
    throw UsageError(message);
  }
}

std::string absolute_path(const std::string& path) {
  if (path.starts_with('/')) return path;
  return (std::filesystem::path(current_directory()) / path).lexically_normal().string();
}

std::string current_directory() {
  std::error_code error;
  auto path = std::filesystem::current_path(error);
  if (error) throw Failure(exit_code::usage, "the working directory is gone: " + error.message() + "; give one with --cwd");
  return path.string();
}

Umask current_umask() {
  const mode_t mask = ::umask(077);
  ::umask(mask);
  return {static_cast<std::uint32_t>(mask)};
}

}  // namespace stint::cli
