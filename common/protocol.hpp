// The requests and answers of every method, a struct and its field list each: PROTOCOL section 5.
//
// Daemon and client share them. Ranges here are the protocol's own bounds (common/limits.hpp). Answers that carry
// records are written with encode_record (common/job.hpp).
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "common/job.hpp"
#include "common/json_map.hpp"
#include "common/pool.hpp"

namespace stint {

inline constexpr int protocol_version = 1;

enum class ShutdownMode : std::uint8_t { detach, drain, cancel };
enum class DrainMode : std::uint8_t { running, queued };
enum class Until : std::uint8_t { all, first, first_failure };
enum class Order : std::uint8_t { completion, submission };
enum class Encoding : std::uint8_t { utf8, base64 };
enum class StreamEnd : std::uint8_t { complete, cancelled, timed_out, draining, error };

}  // namespace stint

namespace stint::json {
template <>
struct EnumNames<ShutdownMode> {
  static constexpr std::array<std::string_view, 3> names{"detach", "drain", "cancel"};
};
template <>
struct EnumNames<DrainMode> {
  static constexpr std::array<std::string_view, 2> names{"running", "queued"};
};
template <>
struct EnumNames<Until> {
  static constexpr std::array<std::string_view, 3> names{"all", "first", "first_failure"};
};
template <>
struct EnumNames<Order> {
  static constexpr std::array<std::string_view, 2> names{"completion", "submission"};
};
template <>
struct EnumNames<Encoding> {
  static constexpr std::array<std::string_view, 2> names{"utf8", "base64"};
};
template <>
struct EnumNames<StreamEnd> {
  static constexpr std::array<std::string_view, 5> names{"complete", "cancelled", "timed_out", "draining", "error"};
};
}  // namespace stint::json

namespace stint::protocol {

using json::optional;
using json::Range;
using json::required;

inline constexpr Range id_range{1, static_cast<double>(limits::id_max)};
inline constexpr Range label_range{1, limits::name_bytes_max};
inline constexpr Range ids_range{1, limits::wait_ids_max};
inline constexpr Range size_range{0, static_cast<double>(limits::id_max)};

/// A method without parameters.
struct Nothing {
  static constexpr auto fields() { return std::tuple{}; }
};

struct ShutdownRequest {
  ShutdownMode jobs = ShutdownMode::detach;
  static constexpr auto fields() { return std::tuple{optional("jobs", &ShutdownRequest::jobs, "what becomes of the jobs")}; }
};

struct DrainRequest {
  DrainMode scope = DrainMode::running;
  std::optional<Duration> timeout;
  static constexpr auto fields() {
    return std::tuple{optional("scope", &DrainRequest::scope,
                               "running (default): nothing more starts; queued: what is queued still runs. What it waits for"),
                      optional("timeout", &DrainRequest::timeout, "how long to wait, 0 not at all; the drain goes on")};
  }
};
struct DrainAnswer {
  std::vector<JobId> pending;
  std::uint64_t count = 0;
  static constexpr auto fields() {
    return std::tuple{required("pending", &DrainAnswer::pending, "ids of what is left, the first 10,000"),
                      required("count", &DrainAnswer::count, "how many are left")};
  }
};

struct SubmitRequest {
  JobSpec job;
  static constexpr auto fields() { return std::tuple{required("job", &SubmitRequest::job, "the job")}; }
};
struct SubmitAnswer {
  JobId id = 0;
  bool duplicate = false;
  static constexpr auto fields() {
    return std::tuple{required("id", &SubmitAnswer::id, "the job's id", id_range),
                      required("duplicate", &SubmitAnswer::duplicate, "an earlier job with this key answered")};
  }
};

struct SubmitManyRequest {
  std::optional<std::vector<JobSpec>> jobs;
  std::optional<JobSpec> job_template;
  std::optional<std::vector<json::Raw>> items;
  std::optional<std::string> group;
  std::optional<std::string> key;
  std::optional<std::string> marker;
  static constexpr auto fields() {
    return std::tuple{
        optional("jobs", &SubmitManyRequest::jobs, "whole jobs", Range{1, limits::submit_jobs_max}),
        optional("template", &SubmitManyRequest::job_template, "one job for all items"),
        optional("items", &SubmitManyRequest::items, "an item a job: fills the marker, or is the task's args",
                 Range{1, limits::submit_jobs_max}),
        optional("group", &SubmitManyRequest::group, "group of all of them; one is made up where none is given", label_range),
        optional("key", &SubmitManyRequest::key,
                 "idempotency, for the whole call, as long as any of its jobs is kept; none inside", label_range),
        optional("marker", &SubmitManyRequest::marker, "what stands for the item in `command`; default {}", Range{1, 64})};
  }
  void validate(const json::Path& path) const;
};
struct SubmitManyAnswer {
  std::string group;
  JobId first = 0;
  std::uint64_t count = 0;
  bool duplicate = false;
  static constexpr auto fields() {
    return std::tuple{required("group", &SubmitManyAnswer::group, "their group"),
                      required("first", &SubmitManyAnswer::first, "the first id; the others follow without a gap", id_range),
                      required("count", &SubmitManyAnswer::count, "how many"),
                      optional("duplicate", &SubmitManyAnswer::duplicate, "the key had been used for the same call")};
  }
};

struct RunRequest {
  JobSpec job;
  std::optional<Duration> timeout;
  bool output = false;
  static constexpr auto fields() {
    return std::tuple{required("job", &RunRequest::job, "the job"),
                      optional("timeout", &RunRequest::timeout, "how long to wait; the job goes on"),
                      optional("output", &RunRequest::output, "add the text of small outputs to the record")};
  }
};

struct IdRequest {
  JobId id = 0;
  static constexpr auto fields() { return std::tuple{required("id", &IdRequest::id, "the job", id_range)}; }
};

struct ListRequest {
  std::optional<State> state;
  std::optional<Outcome> outcome;
  std::optional<std::string> queue;
  std::optional<std::string> group;
  std::optional<std::string> tag;
  std::optional<std::string> name;
  std::optional<std::string> user;
  JobId since_id = 0;
  std::uint32_t limit = 100;
  static constexpr auto fields() {
    return std::tuple{optional("state", &ListRequest::state, "only these"),
                      optional("outcome", &ListRequest::outcome, "only these"),
                      optional("queue", &ListRequest::queue, "only of this queue", label_range),
                      optional("group", &ListRequest::group, "only of this group", label_range),
                      optional("tag", &ListRequest::tag, "only with this tag", label_range),
                      optional("name", &ListRequest::name, "only of this name", label_range),
                      optional("user", &ListRequest::user, "only of this user", label_range),
                      optional("since_id", &ListRequest::since_id, "only above this id: `next` of the page before", size_range),
                      optional("limit", &ListRequest::limit, "jobs a page; default 100", Range{1, limits::list_jobs_max})};
  }
};

struct WaitRequest {
  std::optional<std::vector<JobId>> ids;
  std::optional<std::string> group;
  Until until = Until::all;
  std::optional<Duration> timeout;
  static constexpr auto fields() {
    return std::tuple{optional("ids", &WaitRequest::ids, "these jobs", ids_range),
                      optional("group", &WaitRequest::group, "or this group", label_range),
                      optional("until", &WaitRequest::until, "what to wait for"),
                      optional("timeout", &WaitRequest::timeout, "how long; past it `pending` tells what is left")};
  }
  void validate(const json::Path& path) const;
};

struct ResultsRequest {
  std::optional<std::vector<JobId>> ids;
  std::optional<std::string> group;
  std::optional<Seq> since;
  Order order = Order::completion;
  bool output = false;
  std::optional<std::vector<std::string>> only;
  std::optional<Duration> timeout;
  static constexpr auto fields() {
    return std::tuple{
        optional("ids", &ResultsRequest::ids, "these jobs", ids_range),
        optional("group", &ResultsRequest::group, "or this group; neither: all of the caller's", label_range),
        optional("since", &ResultsRequest::since, "only results after this seq", size_range),
        optional("order", &ResultsRequest::order, "completion or submission"),
        optional("output", &ResultsRequest::output, "add the text of small outputs"),
        optional("fields", &ResultsRequest::only, "only these fields of a record, beside `id` and `seq`; default all",
                 Range{0, limits::record_fields_max}),
        optional("timeout", &ResultsRequest::timeout, "the stream ends as timed_out after this")};
  }
  void validate(const json::Path& path) const;
};

struct OutputRequest {
  JobId id = 0;
  StreamName of = StreamName::out;
  std::optional<Attempt> attempt;
  std::uint64_t offset = 0;
  std::uint64_t limit = limits::output_chunk_bytes_max;
  bool follow = false;
  static constexpr auto fields() {
    return std::tuple{
        required("id", &OutputRequest::id, "the job", id_range),
        optional("of", &OutputRequest::of, "which stream; default stdout"),
        optional("attempt", &OutputRequest::attempt, "which run; default the newest. With follow: the first of those followed",
                 Range{1, 1e9}),
        optional("offset", &OutputRequest::offset, "first byte", size_range),
        optional("limit", &OutputRequest::limit, "bytes an answer or chunk", Range{1, limits::output_chunk_bytes_max}),
        optional("follow", &OutputRequest::follow, "stream chunks until the job ends")};
  }
};
struct OutputChunk {
  std::string data;
  Encoding encoding = Encoding::utf8;
  std::uint64_t offset = 0;  ///< of the first byte; past the one asked for where the middle was not kept
  std::uint64_t next = 0;
  bool end = false;
  std::optional<Attempt> attempt;
  static constexpr auto fields() {
    return std::tuple{required("data", &OutputChunk::data, "the bytes"),
                      required("encoding", &OutputChunk::encoding, "how they are written in `data`"),
                      required("offset", &OutputChunk::offset, "of the first byte"),
                      required("next", &OutputChunk::next, "where to go on"),
                      required("end", &OutputChunk::end, "nothing will follow"),
                      optional("attempt", &OutputChunk::attempt, "whose output it is, once one has begun")};
  }
};

struct InputRequest {
  JobId id = 0;
  std::string data;
  Encoding encoding = Encoding::utf8;
  std::optional<std::uint64_t> offset;
  bool end = false;
  static constexpr auto fields() {
    return std::tuple{
        required("id", &InputRequest::id, "the job", id_range), optional("data", &InputRequest::data, "the bytes"),
        optional("offset", &InputRequest::offset,
                 "of the first byte in all that the job is fed: what it was fed before is passed over, so a call that "
                 "was not answered can be made again; default: behind what it was fed before",
                 size_range),
        optional("encoding", &InputRequest::encoding, "how they are written in `data`"),
        optional("end", &InputRequest::end, "close its standard input after them")};
  }
};

struct CancelRequest {
  std::optional<std::vector<JobId>> ids;
  std::optional<std::string> group;
  bool force = false;
  bool running = true;
  static constexpr auto fields() {
    return std::tuple{optional("ids", &CancelRequest::ids, "these jobs", ids_range),
                      optional("group", &CancelRequest::group, "or this group", label_range),
                      optional("force", &CancelRequest::force, "SIGKILL at once"),
                      optional("running", &CancelRequest::running,
                               "false: what runs is left alone, and is in no list of the answer; default true")};
  }
  void validate(const json::Path& path) const;
};
struct CancelAnswer {
  std::vector<JobId> cancelled;
  std::vector<JobId> stopping;
  std::vector<JobId> already_finished;
  static constexpr auto fields() {
    return std::tuple{required("cancelled", &CancelAnswer::cancelled, "had not started and never will"),
                      required("stopping", &CancelAnswer::stopping, "run and have been told to stop"),
                      required("already_finished", &CancelAnswer::already_finished, "had ended before")};
  }
};

struct SignalRequest {
  JobId id = 0;
  json::Raw signal;  ///< a number, or a name with or without SIG
  static constexpr auto fields() {
    return std::tuple{required("id", &SignalRequest::id, "the job", id_range),
                      required("signal", &SignalRequest::signal, "number 1 to 64, or name (\"TERM\", \"SIGTERM\")")};
  }
};

struct ForgetRequest {
  std::optional<std::vector<JobId>> ids;
  std::optional<std::string> group;
  std::optional<Duration> older_than;
  static constexpr auto fields() {
    return std::tuple{optional("ids", &ForgetRequest::ids, "these jobs", ids_range),
                      optional("group", &ForgetRequest::group, "or this group", label_range),
                      optional("older_than", &ForgetRequest::older_than, "or what ended longer ago than this")};
  }
  void validate(const json::Path& path) const;
};
struct ForgetAnswer {
  std::uint64_t forgotten = 0;
  static constexpr auto fields() {
    return std::tuple{required("forgotten", &ForgetAnswer::forgotten, "how many records were dropped")};
  }
};

struct SubscribeRequest {
  std::optional<std::vector<std::string>> kinds;
  std::optional<std::string> group;
  std::optional<std::uint64_t> since;
  static constexpr auto fields() {
    return std::tuple{
        optional("kinds", &SubscribeRequest::kinds, "only these kinds of event", Range{1, 64}),
        optional("group", &SubscribeRequest::group, "only of this group", label_range),
        optional("since", &SubscribeRequest::since, "events after this number, as far as they are kept", size_range)};
  }
};

struct StreamCancelRequest {
  std::uint64_t stream = 0;
  static constexpr auto fields() { return std::tuple{required("stream", &StreamCancelRequest::stream, "the stream", id_range)}; }
};

struct PoolRemoveRequest {
  std::string name;
  bool force = false;
  static constexpr auto fields() {
    return std::tuple{
        required("name", &PoolRemoveRequest::name, "the pool", label_range),
        optional("force", &PoolRemoveRequest::force, "cancel its unfinished jobs; without it they are a `conflict`")};
  }
};
/// A pool without its environment, which is nobody else's business.
struct PoolRow {
  std::string name;
  std::vector<std::string> command;
  std::uint32_t size = 0;
  std::optional<std::string> cwd;
  std::optional<std::uint64_t> max_jobs;
  std::optional<Duration> idle_timeout;
  std::optional<PoolBinding> bind;
  std::string user;
  std::uint64_t queued = 0;
  std::uint64_t running = 0;
  bool removing = false;
  bool operator==(const PoolRow&) const = default;
  static constexpr auto fields() {
    return std::tuple{required("name", &PoolRow::name, "what jobs call it"),
                      required("command", &PoolRow::command, "its workers' program"),
                      required("size", &PoolRow::size, "workers at most"),
                      optional("cwd", &PoolRow::cwd, "working directory"),
                      optional("max_jobs", &PoolRow::max_jobs, "answers after which a worker is replaced"),
                      optional("idle_timeout", &PoolRow::idle_timeout, "idle time after which a worker ends"),
                      optional("bind", &PoolRow::bind, "what it ends with"),
                      optional("user", &PoolRow::user, "who set it; absent where it stands in the configuration"),
                      required("queued", &PoolRow::queued, "jobs that wait for a worker"),
                      required("running", &PoolRow::running, "jobs that have one"),
                      optional("removing", &PoolRow::removing, "it takes no jobs and is gone with its last one")};
  }
};
struct PoolListAnswer {
  std::vector<PoolRow> pools;
  static constexpr auto fields() { return std::tuple{required("pools", &PoolListAnswer::pools, "by name")}; }
};
/// The event kinds that feed.subscribe knows.
inline constexpr std::array<std::string_view, 6> event_kinds{"job.submitted", "job.started",  "job.progress",
                                                             "job.stopping",  "job.finished", "job.retrying"};

/// A signal's number from the wire form (number, "TERM" or "SIGTERM"); throws `invalid_params` for field `signal`.
[[nodiscard]] int signal_number(const json::Raw& raw);
/// "SIGTERM"; "SIG42" where it has no name.
[[nodiscard]] std::string signal_name(int number);

/// Writes an Error as the `error` member of a JSON-RPC answer.
void encode_error(json::Writer& writer, const Error& error);

}  // namespace stint::protocol
