// What a job is, as clients, the core, the executors and the workers all speak of it.
//
// JobSpec is the field list of `job` in job.submit; JobRecord is what every answer says of one. Values only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/job_terms.hpp"
#include "common/json.hpp"
#include "common/json_map.hpp"
#include "common/limits.hpp"
#include "common/time.hpp"

namespace stint {

enum class State : std::uint8_t { waiting, queued, running, finished };
enum class Phase : std::uint8_t { starting, running, stopping, paused, lent };
enum class Outcome : std::uint8_t { succeeded, failed, cancelled, timed_out, lost, expired, skipped };
enum class Leftovers : std::uint8_t { kill, keep };
enum class StreamName : std::uint8_t { out, err };
/// The ends of an attempt after which a job may run again.
enum class RetryCause : std::uint8_t { failed, timed_out, lost };

}  // namespace stint

namespace stint::json {
template <>
struct EnumNames<ExecutorKind> {
  static constexpr std::array<std::string_view, 4> names{"process", "thread", "coroutine", "cluster"};
};
template <>
struct EnumNames<State> {
  static constexpr std::array<std::string_view, 4> names{"waiting", "queued", "running", "finished"};
};
template <>
struct EnumNames<Phase> {
  static constexpr std::array<std::string_view, 5> names{"starting", "running", "stopping", "paused", "lent"};
};
template <>
struct EnumNames<Outcome> {
  static constexpr std::array<std::string_view, 7> names{"succeeded", "failed",  "cancelled", "timed_out",
                                                         "lost",      "expired", "skipped"};
};
template <>
struct EnumNames<Leftovers> {
  static constexpr std::array<std::string_view, 2> names{"kill", "keep"};
};
template <>
struct EnumNames<StreamName> {
  static constexpr std::array<std::string_view, 2> names{"stdout", "stderr"};
};
template <>
struct EnumNames<RetryCause> {
  static constexpr std::array<std::string_view, 3> names{"failed", "timed_out", "lost"};
};
}  // namespace stint::json

namespace stint {

/// What a program reads. On the wire: a string, `{"base64": …}`, `{"file": path}`, or `"stream"`.
struct StdinSource {
  struct Empty {
    bool operator==(const Empty&) const = default;
  };
  struct Bytes {
    std::string bytes;
    bool operator==(const Bytes&) const = default;
  };
  struct File {
    std::string path;
    bool operator==(const File&) const = default;
  };
  /// Fed by job.input.
  struct Stream {
    bool operator==(const Stream&) const = default;
  };
  std::variant<Empty, Bytes, File, Stream> source;

  [[nodiscard]] bool is_stream() const { return std::holds_alternative<Stream>(source); }
  bool operator==(const StdinSource&) const = default;
};

/// A piece of a streamed standard input.
struct InputPiece {
  std::string bytes;
  bool end = false;                     ///< nothing follows it
  std::optional<std::uint64_t> offset;  ///< of the first byte in all that the job is fed; without: behind what it was fed before
};

/// Where a program writes. On the wire: `"capture"`, `"null"`, `{"file": path, "append": bool}`; stderr also `"stdout"`.
struct OutputTarget {
  struct Capture {
    bool operator==(const Capture&) const = default;
  };
  struct Null {
    bool operator==(const Null&) const = default;
  };
  struct File {
    std::string path;
    bool append = false;
    bool operator==(const File&) const = default;
    static constexpr auto fields() {
      return std::tuple{json::required("file", &File::path, "path, relative to cwd", json::Range{1, limits::path_bytes_max}),
                        json::optional("append", &File::append, "append instead of truncating")};
    }
  };
  /// stderr goes where stdout goes.
  struct ToStdout {
    bool operator==(const ToStdout&) const = default;
  };
  std::variant<Capture, Null, File, ToStdout> target;

  [[nodiscard]] bool is_capture() const { return std::holds_alternative<Capture>(target); }
  bool operator==(const OutputTarget&) const = default;
};

/// File mode creation mask, 0 … 0777. On the wire an octal string ("022") or an integer (18).
struct Umask {
  std::uint32_t bits = 077;
  bool operator==(const Umask&) const = default;
};

/// Whether and when a job runs again after an attempt that did not succeed.
struct Retry {
  std::uint32_t max = 0;  ///< further attempts after the first
  Duration delay = std::chrono::seconds(1);
  double factor = 2;
  std::optional<Duration> max_delay;  ///< an hour, or `delay` where that is longer
  double jitter = 0;
  /// Not `lost`: what is lost may have done its work, so it runs again only where that is asked for.
  std::vector<RetryCause> on{RetryCause::failed, RetryCause::timed_out};
  bool operator==(const Retry&) const = default;
  static constexpr auto fields() {
    return std::tuple{
        json::optional("max", &Retry::max, "how many further attempts; default 0", json::Range{0, limits::retries_max}),
        json::optional("delay", &Retry::delay, "before the second attempt; default 1"),
        json::optional("factor", &Retry::factor, "by which each further delay is longer; default 2",
                       json::Range{1, limits::retry_factor_max}),
        json::optional("max_delay", &Retry::max_delay, "the longest delay; default an hour, or `delay` where that is longer"),
        json::optional("jitter", &Retry::jitter, "up to this part of each delay is left out, by chance; default 0",
                       json::Range{0, 1}),
        json::optional("on", &Retry::on, "after which ends; default failed and timed_out",
                       json::Range{1, json::EnumNames<RetryCause>::names.size()})};
  }
  void validate(const json::Path& path) const;
};

/// Starts only while fewer than `limit` run with this key.
struct Concurrency {
  std::string key;
  std::uint64_t limit = 1;
  bool operator==(const Concurrency&) const = default;
  static constexpr auto fields() {
    return std::tuple{
        json::required("key", &Concurrency::key, "jobs that share it are counted together",
                       json::Range{1, limits::name_bytes_max}),
        json::required("limit", &Concurrency::limit, "as many of them run at once", json::Range{1, limits::permits_max})};
  }
};

/// A job as it was asked for: PROTOCOL section 3. Exactly one of command, shell, task and pool is set once validated.
struct JobSpec {
  std::optional<std::vector<std::string>> command;
  std::optional<std::string> shell;
  std::optional<std::string> task;
  std::optional<std::string> pool;
  std::optional<json::Raw> args;

  std::optional<ExecutorKind> executor;
  std::optional<std::string> name;
  std::vector<std::string> tags;
  std::optional<std::string> group;
  std::string queue = "default";
  std::int32_t priority = 0;
  std::optional<std::string> cwd;
  std::optional<Umask> umask;
  std::map<std::string, std::string> env;
  bool clean_env = false;
  StdinSource stdin_source;
  OutputTarget stdout_target;
  OutputTarget stderr_target;
  std::uint64_t output_limit = limits::output_limit_bytes_default;
  std::optional<Duration> delay;
  std::optional<Time> at;
  std::optional<Duration> expires;
  std::optional<Duration> timeout;
  Duration grace = std::chrono::seconds(5);
  Leftovers leftovers = Leftovers::kill;
  Retry retry;
  std::vector<std::string> locks;
  std::map<std::string, std::uint64_t> semaphores;
  std::optional<Concurrency> concurrency;
  bool daemon = false;
  bool durable = true;
  std::optional<std::string> key;
  std::optional<Duration> keep;

  /// Not a field of `job`: what stands for the item in the elements of `command` of a template (submit_many `marker`).
  std::string item_marker = "{}";

  static constexpr auto fields();
  /// Throws `invalid_params` or `unavailable` for what no single field can tell.
  void validate(const json::Path& path) const;

  [[nodiscard]] bool needs_permits() const { return !locks.empty() || !semaphores.empty() || concurrency.has_value(); }
  [[nodiscard]] bool is_program() const { return command.has_value() || shell.has_value(); }
};

/// Of a program's command line and environment, wherever one stands: throws `invalid_params`.
void validate_command(const std::vector<std::string>& command, const json::Path& path);
void validate_env(const std::map<std::string, std::string>& env, const json::Path& path);

/// `{"kind", "message"}` of a job that failed for a reason that is not an exit code.
struct JobError {
  std::string kind;
  std::string message;
  std::optional<json::Raw> data = {};  ///< what a pool's worker says of it beyond that
  bool operator==(const JobError&) const = default;
  static constexpr auto fields() {
    return std::tuple{json::required("kind", &JobError::kind, "stable word, for example `crashed`"),
                      json::required("message", &JobError::message, "one sentence for a person"),
                      json::optional("data", &JobError::data, "what a pool's worker says of it beyond that: any JSON")};
  }
};

/// What a program has used, its waited-for children included.
struct Usage {
  Duration user_seconds{};
  Duration system_seconds{};
  std::uint64_t max_rss = 0;  ///< bytes
  bool operator==(const Usage&) const = default;
  static constexpr auto fields() {
    return std::tuple{json::required("user_seconds", &Usage::user_seconds, "processor time in user mode"),
                      json::required("system_seconds", &Usage::system_seconds, "processor time in the kernel"),
                      json::required("max_rss", &Usage::max_rss, "largest resident size, bytes")};
  }
};

struct OutputSize {
  std::uint64_t bytes = 0;  ///< written by the job, kept or not
  bool truncated = false;   ///< the middle is missing
  bool operator==(const OutputSize&) const = default;
  static constexpr auto fields() {
    return std::tuple{json::required("bytes", &OutputSize::bytes, "bytes written by the job"),
                      json::required("truncated", &OutputSize::truncated, "only head and tail are kept")};
  }
};

/// The kept output of one stream of a finished job.
struct OutputContent {
  OutputSize size;
  std::string bytes;     ///< the content where it is at most limits::output_inline_bytes_max, else empty
  bool in_file = false;  ///< the content lies in the state directory, out/ID.ATTEMPT.STREAM
  bool operator==(const OutputContent&) const = default;
};

/// How an attempt ended, as its executor saw it. Each Start is answered by exactly one of these.
struct EndReport {
  struct Exited {
    int code;  // no initialiser: with one, g++ 12 finds no default constructor for the variant below
    bool operator==(const Exited&) const = default;
  };
  struct Signalled {
    int signal = 0;
    bool operator==(const Signalled&) const = default;
  };
  struct Returned {
    json::Raw result;
    bool operator==(const Returned&) const = default;
  };
  /// A task threw, a task's process crashed (`crashed`), a program could not be started (`spawn`).
  struct Failed {
    JobError error;
    std::optional<int> exit_code;  ///< 126 or 127 where a program could not be started
    bool operator==(const Failed&) const = default;
  };
  /// How it ended cannot be known.
  struct Lost {
    std::string message;
    bool operator==(const Lost&) const = default;
  };
  std::variant<Exited, Signalled, Returned, Failed, Lost> ending;
  bool timed_out = false;  ///< the executor stopped it because its timeout had passed
  bool stopped = false;    ///< ended because of a Stop: a task that threw or returned after its token was set
  std::optional<Usage> usage;
  std::optional<OutputContent> stdout_content;
  std::optional<OutputContent> stderr_content;
  Time finished_at{};

  bool operator==(const EndReport&) const = default;
};

/// Everything that an answer says of a job. Pointers, so that making one copies nothing; encoded at once.
struct JobRecord {
  JobId id = 0;
  const JobSpec* spec = nullptr;
  const json::Raw* item = nullptr;     ///< the item of a template, if it has one
  std::optional<std::uint32_t> index;  ///< its place in the list of items
  Seq seq = 0;                         ///< 0 while not finished
  std::string_view user;
  ExecutorKind executor{};
  State state{};
  std::optional<Phase> phase;
  std::optional<Outcome> outcome;
  Attempt attempt = 0;  ///< 0 before the first start
  std::optional<JobId> parent;
  Time submitted_at{};
  std::optional<Time> started_at;
  std::string_view worker;  ///< empty where none
  std::optional<std::int32_t> pid;
  std::optional<double> progress;
  const EndReport* end = nullptr;  ///< of a finished job
  std::optional<JobError> error;   ///< overrides the error of `end`, for jobs that never started
  std::optional<Time> finished_at;
};

/// Appends the record as one JSON object.
void encode_record(json::Writer& writer, const JobRecord& record);
/// The names of all fields that a record may have.
[[nodiscard]] std::vector<std::string_view> record_fields();

/// The outcome that an end has where nobody asked for a stop.
[[nodiscard]] Outcome natural_outcome(const EndReport& end);

/// The item's text in an element of `command` and in STINT_ITEM: a string's characters, anything else as JSON.
[[nodiscard]] std::string item_text(const json::Raw& item);
/// `command` with each `marker` in its elements replaced by the item.
[[nodiscard]] std::vector<std::string> expand_command(const std::vector<std::string>& command, std::string_view marker,
                                                      const json::Raw& item);

}  // namespace stint

namespace stint::json {

template <>
struct Codec<StdinSource> {
  static StdinSource read(Value value, const Path& path, Range range);
  static void write(Writer& writer, const StdinSource& source);
  static nlohmann::json describe(Range);
};
template <>
struct Codec<OutputTarget> {
  static OutputTarget read(Value value, const Path& path, Range range);
  static void write(Writer& writer, const OutputTarget& target);
  static nlohmann::json describe(Range);
};
template <>
struct Codec<Umask> {
  static Umask read(Value value, const Path& path, Range range);
  static void write(Writer& writer, const Umask& mask);
  static nlohmann::json describe(Range);
};

}  // namespace stint::json

namespace stint {

constexpr auto JobSpec::fields() {
  using json::later;
  using json::optional;
  using json::Range;
  constexpr Range label{1, limits::name_bytes_max};
  return std::tuple{
      optional("command", &JobSpec::command, "a program with its arguments; no shell is involved",
               Range{1, limits::command_elements_max}),
      optional("shell", &JobSpec::shell, "run by /bin/sh -c", Range{1, limits::command_bytes_max}),
      optional("task", &JobSpec::task, "a registered function", label),
      optional("pool", &JobSpec::pool, "a message to a worker of this pool", label),
      optional("args", &JobSpec::args, "the task's arguments, or the message: any JSON"),
      optional("executor", &JobSpec::executor, "where it runs; by default as the work says"),
      optional("name", &JobSpec::name, "a label", label),
      optional("tags", &JobSpec::tags, "labels", Range{0, limits::tags_max}),
      optional("group", &JobSpec::group, "a set of jobs waited for, streamed or cancelled together", label),
      optional("queue", &JobSpec::queue, "the queue it stands in", label),
      optional("priority", &JobSpec::priority, "higher runs first", Range{-limits::priority_max, limits::priority_max}),
      optional("cwd", &JobSpec::cwd, "working directory, absolute; default the user's home", Range{1, limits::path_bytes_max}),
      optional("umask", &JobSpec::umask, "file mode creation mask; default 077"),
      optional("env", &JobSpec::env, "environment laid over the user's basic one", Range{0, limits::env_entries_max}),
      optional("clean_env", &JobSpec::clean_env, "lay env over nothing"),
      optional("stdin", &JobSpec::stdin_source, "what the program reads"),
      optional("stdout", &JobSpec::stdout_target, "where it writes"),
      optional("stderr", &JobSpec::stderr_target, "where it writes errors"),
      optional("output_limit", &JobSpec::output_limit, "bytes kept a stream; past it head and tail",
               Range{0, static_cast<double>(limits::output_limit_bytes_max)}),
      later("after"),
      optional("delay", &JobSpec::delay, "starts after so long"),
      optional("at", &JobSpec::at, "starts not before this time"),
      optional("expires", &JobSpec::expires, "ends as expired where it has not started after so long", Range{0.001}),
      optional("timeout", &JobSpec::timeout, "run time after which it is stopped", Range{0.001, limits::duration_seconds_max}),
      optional("grace", &JobSpec::grace, "from the stop request to SIGKILL"),
      optional("leftovers", &JobSpec::leftovers, "what happens to processes that it left running"),
      optional("retry", &JobSpec::retry, "runs again after an attempt that did not succeed"),
      optional("locks", &JobSpec::locks, "names; held for the whole run, until the tree is gone", Range{0, limits::locks_max}),
      optional("semaphores", &JobSpec::semaphores, "permits by name; held likewise, all or none", Range{0, limits::locks_max}),
      optional("concurrency", &JobSpec::concurrency, "starts only while fewer than `limit` run with the same key"),
      later("limits"),
      later("nice"),
      optional("daemon", &JobSpec::daemon, "does not keep a draining daemon alive"),
      optional("durable", &JobSpec::durable, "false: kept in memory only, acknowledged at once"),
      optional("key", &JobSpec::key, "idempotency: the same key and job again answers the first one's id", label),
      optional("keep", &JobSpec::keep, "how long its record and output are kept, for retention.age"),
      later("ref"),
  };
}

}  // namespace stint
