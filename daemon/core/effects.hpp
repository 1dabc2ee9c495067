// What the core hands back: facts to be stored, work to be started and stopped, news to be published.
//
// Values only. `after` is the number of the Persist that must be durable before the effect may happen; 0 is at once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/error.hpp"
#include "common/job.hpp"
#include "common/pool.hpp"
#include "daemon/core/toolbox_facts.hpp"

namespace stint::core {

/// Numbers Persist effects in the order in which they arise, from 1.
using PersistNumber = std::uint64_t;

/// Who submitted: one per connection, shared by its jobs.
struct User {
  std::uint32_t uid = 0;
  std::string name;
};

/// What a job takes a slot of; each pool has slots of its own.
enum class Lane : std::uint8_t { program, host, thread, coroutine, pool };
inline constexpr std::size_t lane_count = 5;

/// A finished job: all that anybody may still ask of it. Built once, shared by store, streams and waiting calls.
struct FinishedJob {
  JobId id = 0;
  Seq seq = 0;
  Attempt attempt = 0;  ///< 0: never started
  Outcome outcome{};
  Time finished_at{};
  std::shared_ptr<const User> user;
  std::shared_ptr<const JobSpec> spec;
  std::shared_ptr<const json::Raw> item;
  std::optional<std::uint32_t> index;
  std::string record;  ///< the record, encoded: answers splice it
  EndReport end;       ///< exit code and kept output; of a job that never started: Lost with an empty message
};
using FinishedPtr = std::shared_ptr<const FinishedJob>;

/// What is kept of a run's output, wherever it lies.
[[nodiscard]] inline std::uint64_t kept_output_bytes(const EndReport& end, const JobSpec& spec) {
  std::uint64_t bytes = 0;
  for (const auto* content : {&end.stdout_content, &end.stderr_content}) {
    if (*content) bytes += std::min((*content)->size.bytes, spec.output_limit);
  }
  return bytes;
}

/// An attempt after which the job runs again: what of it may still be asked once the next one runs.
struct EndedAttempt {
  JobId id = 0;
  Attempt attempt = 0;
  Outcome outcome{};
  Time ended_at{};
  Time again_at{};  ///< not before this the next attempt starts
  EndReport end;
  std::uint64_t kept_bytes = 0;  ///< of its output
  bool operator==(const EndedAttempt&) const = default;
};
using EndedPtr = std::shared_ptr<const EndedAttempt>;

/// One job of a submit as it is stored.
struct SubmittedJob {
  std::shared_ptr<const JobSpec> spec;  ///< one object for all jobs of a template
  std::shared_ptr<const json::Raw> item;
  std::optional<std::uint32_t> index;
  ExecutorKind executor{};
  Lane lane{};
  std::optional<Time> not_before;  ///< the first start
  std::optional<Time> expires_at;
};

/// What the store was asked for, of one job.
struct LoadedSpec {
  JobId id = 0;
  std::shared_ptr<const JobSpec> spec;  ///< null where there is no such job
  std::shared_ptr<const json::Raw> item;
};

/// An unfinished job as a start of the daemon finds it.
struct StoredJob {
  JobId id = 0;
  JobId parent = 0;                     ///< 0: none
  std::shared_ptr<const JobSpec> spec;  ///< null unless has_started() or limited: the others are loaded when their turn comes
  std::shared_ptr<const json::Raw> item;
  std::int32_t priority = 0;
  bool daemon = false;
  bool limited = false;  ///< needs permits: its specification is there
  std::optional<std::string> group;
  std::optional<std::string> pool;
  std::optional<std::uint32_t> index;
  std::shared_ptr<const User> user;
  Time submitted_at{};
  ExecutorKind executor{};
  Lane lane{};
  Attempt attempt = 0;  ///< of the newest StartFact; 0: never started
  bool cancelled = false;
  std::optional<Time> waits_until;  ///< it has not started, or its newest attempt has ended: not before this
  std::optional<Time> expires_at;

  /// As far as is known, its newest attempt runs.
  [[nodiscard]] bool has_started() const { return attempt > 0 && !waits_until; }
};

/// A pool as a start of the daemon finds it.
struct StoredPool {
  std::shared_ptr<const PoolSpec> spec;
  std::shared_ptr<const User> owner;
};

/// A user's word for one call of submit, by which its repetition is known.
struct SubmitKey {
  std::string word;
  std::string payload;  ///< digest of what was asked, as it was decoded
  std::string group;    ///< of the call's answer; empty for one job
};

/// A key and what it stands for.
struct KeyedSubmit {
  std::uint32_t uid = 0;
  SubmitKey key;
  JobId first = 0;
  std::uint64_t count = 0;
  std::vector<std::pair<JobId, JobId>> gone{};  ///< first and last of runs of its jobs whose records are gone
};

// Facts. A submit and the starts that it made possible are one Persist, so that they share a commit.
struct SubmitFact {
  JobId first = 0;   ///< the others follow without a gap
  JobId parent = 0;  ///< 0: none
  Time at{};
  std::shared_ptr<const User> user;
  std::vector<SubmittedJob> jobs;
  std::optional<SubmitKey> key;
};
struct StartFact {
  JobId id = 0;
  Attempt attempt = 0;
};
/// The attempt has ended and is not the last. The job has not finished, so it gets no seq and stays among the unfinished;
/// the next StartFact takes it out of its wait.
struct RetryFact {
  EndedPtr attempt;
};
struct CancelFact {
  JobId id = 0;
};
struct FinishFact {
  FinishedPtr job;
};
struct ForgetFact {
  std::vector<JobId> ids;
};
/// Ids and seqs below these may be given away from now on without being stored: those of non-durable jobs.
struct ReserveFact {
  JobId ids = 0;
  Seq seqs = 0;
};
/// Of a pool that lasts: neither bound to a connection nor of the configuration.
struct SetPoolFact {
  std::shared_ptr<const PoolSpec> spec;
  std::shared_ptr<const User> owner;
};
struct RemovePoolFact {
  std::string name;
};
using Fact =
    std::variant<SubmitFact, StartFact, CancelFact, FinishFact, ForgetFact, ReserveFact, ChannelFact, ChannelPutFact,
                 ChannelTakeFact, EventFact, RetryFact, SetPoolFact, RemovePoolFact, SemaphoreFact, LeaseFact, ReleaseFact>;

/// True for new work, which a store without room refuses; the others are facts that must be recorded.
[[nodiscard]] inline bool refusable(const Fact& fact) {
  const auto* const put = std::get_if<ChannelPutFact>(&fact);
  if (put != nullptr) return !put->returned;
  const auto* const lease = std::get_if<LeaseFact>(&fact);
  if (lease != nullptr) return !lease->bound_anew;
  if (const auto* const channel = std::get_if<ChannelFact>(&fact)) return channel->made;
  if (const auto* const event = std::get_if<EventFact>(&fact)) return event->set;
  if (const auto* const semaphore = std::get_if<SemaphoreFact>(&fact)) return semaphore->made;
  return std::holds_alternative<SubmitFact>(fact) || std::holds_alternative<StartFact>(fact);
}

/// To be made durable, all facts or none. Number 0: of a non-durable job: to be remembered, nothing waits for it.
struct Persist {
  PersistNumber number = 0;
  std::vector<Fact> facts;
  bool patient = false;  ///< no slot stands idle meanwhile: it may wait a moment for others to be committed with
};

[[nodiscard]] inline bool has_new_work(const Persist& persist) { return std::ranges::any_of(persist.facts, refusable); }
[[nodiscard]] inline bool is_only_new_work(const Persist& persist) {
  return !persist.facts.empty() && std::ranges::all_of(persist.facts, refusable);
}

/// What the answer to a change waits for.
struct Changed {
  PersistNumber after = 0;
  bool is_new_work = false;  ///< refused with that
};

struct Start {
  PersistNumber after = 0;
  Lane lane{};
  JobId id = 0;
  Attempt attempt = 0;
  bool recorded = false;  ///< in `after`, and refused with it; else only the reservation of its id is waited for
};

/// A start that has not begun is wanted back, because somebody else goes first; where it has begun meanwhile, nothing
/// happens. Answered by `on_returned` or not at all.
struct Recall {
  PersistNumber after = 0;
  Lane lane{};
  JobId id = 0;
  Attempt attempt = 0;
};

struct Stop {
  PersistNumber after = 0;
  Lane lane{};
  JobId id = 0;
  Attempt attempt = 0;
  bool force = false;
};

/// `retrying`: an attempt has ended and the job will run again; only the end of the last attempt is `finished`.
enum class EventKind : std::uint8_t { submitted, started, progress, stopping, finished, retrying };

struct Publish {
  PersistNumber after = 0;
  EventKind kind{};
  JobId id = 0;
  Time at{};
  std::shared_ptr<const JobSpec> spec;  ///< for the group
  std::shared_ptr<const User> user;
  Attempt attempt = 0;
  double progress = 0;
  std::string text;      ///< of progress
  FinishedPtr finished;  ///< kind finished
  EndedPtr ended;        ///< kind retrying
};

/// So many of this lane may run at once from now on: slots were lent, or are wanted back.
struct SlotsNow {
  Lane lane{};
  std::uint32_t slots = 0;
  std::shared_ptr<const PoolSpec> pool;  ///< of Lane::pool
};

/// A call for permits has them: this lease.
struct Granted {
  PersistNumber after = 0;
  std::uint64_t call = 0;
  std::uint64_t lease = 0;
};

/// A call that waits for permits or for jobs waits no more: others have closed a circle that it is in, or its job has ended.
struct Refuse {
  PersistNumber after = 0;
  std::uint64_t call = 0;
  Error error;
};

/// Call `on_timer` at this time; replaces an earlier wish that is later.
struct ArmTimer {
  Time at{};
};

/// The store is to be asked for the specifications of these jobs; answered by `on_loaded`.
struct Load {
  std::vector<JobId> ids;
};

using Effect = std::variant<Persist, Start, Recall, Stop, Publish, ArmTimer, Load, Granted, Refuse, SlotsNow>;
using Effects = std::vector<Effect>;

}  // namespace stint::core
