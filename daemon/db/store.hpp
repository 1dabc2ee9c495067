// The store as the rest of the daemon sees it: it takes facts, answers later, and answers for finished jobs.
//
// All calls come from the I/O thread and all callbacks are called on it, in the order of the calls, never from inside
// the call. What is asked after a commit was handed over sees what that commit recorded.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "daemon/core/scheduler.hpp"

namespace stint::db {

/// What a commit came to. Both are reported in one call: first the refusals, then the new bound.
struct CommitResult {
  std::vector<core::PersistNumber> refused;  ///< newest first; their facts that are not refusable were recorded
  core::PersistNumber durable = 0;           ///< everything up to here is decided
  std::string reason;                        ///< why something was refused, for people
  bool took_new_work = false;                ///< some was recorded
};

enum class Presence : std::uint8_t { found, never_existed, purged };

struct Found {
  Presence presence = Presence::never_existed;
  core::FinishedPtr job;
};

/// `not_found` or `purged`, for a job that was asked for in `field`.
[[nodiscard]] inline Error missing_job(JobId id, Presence presence, std::string field = "id") {
  const std::string name = "job " + std::to_string(id);
  Error error = presence == Presence::purged ? Error(ErrorKind::purged, "the record of " + name + " is no longer kept")
                                             : Error(ErrorKind::not_found, "there is no " + name);
  error.field = std::move(field);
  return error;
}

using core::StoredJob;
using core::StoredPool;

/// All that a start of the daemon needs to go on where the last one ended.
struct Recovered {
  JobId next_id = 1;            ///< above every id that was ever given away
  Seq next_seq = 1;             ///< likewise
  std::uint32_t epoch = 1;      ///< larger than that of any earlier daemon on this state directory
  std::vector<StoredJob> jobs;  ///< ascending ids
  std::vector<core::KeyedSubmit> keys;
  std::vector<core::StoredChannel> channels;
  std::vector<std::string> events;  ///< that are set
  std::vector<StoredPool> pools;
  std::uint64_t next_lease = 1;  ///< above every lease that was ever given
  core::StoredPermits permits;
};

/// How long finished jobs are kept; the first bound that is passed counts.
struct Retention {
  Duration age{};
  std::uint64_t jobs = 0;
  std::uint64_t output_bytes = 0;  ///< of kept output, inline or in files
};

/// How much is kept in all.
struct KeptTotals {
  std::uint64_t jobs = 0;
  std::uint64_t output_bytes = 0;
  bool operator==(const KeptTotals&) const = default;
};

/// What the rule of retention needs of a finished job.
struct Aged {
  Seq seq = 0;
  JobId id = 0;
  Time finished_at{};
  std::uint64_t kept_bytes = 0;  ///< of the output of all its attempts
};

/// A look for what is past a bound that has come so far: what was found up to `seq` and could not go.
struct PassedOver {
  Seq seq = 0;
  KeptTotals kept;
};

/// What is past a bound, in the order of seq; when the next comes of age, as far as that is known; and how much is kept in all,
/// these included and those that were passed over not.
struct Overdue {
  std::vector<Aged> jobs;
  std::optional<Time> next;
  KeptTotals totals;
};

/// A page of finished jobs.
struct ResultsQuery {
  std::optional<std::string> group;  ///< only of this group
  std::optional<std::uint32_t> uid;  ///< only of this user
  Seq since = 0;                     ///< only after this seq
  std::size_t limit = 256;
};

/// A page of finished jobs by id, for listings.
struct ListQuery {
  JobId after = 0;
  JobId up_to = 0;          ///< inclusive; the caller merges with what is unfinished in this range
  std::size_t limit = 256;  ///< rows looked at, matching or not
};

/// How long a patient Persist may wait for others: noticed by nobody, and several times what a commit costs.
inline constexpr std::chrono::milliseconds patience{10};

class Store {
 public:
  virtual ~Store() = default;

  /// What is there, read once before anything else is asked; blocks. Throws Error `unavailable`.
  virtual Recovered recover() = 0;
  /// Called on the I/O thread, once, when the store can no longer keep its promises: nothing more will be acknowledged.
  virtual void on_failure(std::function<void(const std::string& reason)> callback) = 0;

  /// Called on the I/O thread after each commit.
  using CommitCallback = std::function<void(const CommitResult&)>;
  virtual void on_commit(CommitCallback callback) = 0;

  /// Hands facts over; what piles up while one commit runs forms the next.
  virtual void persist(core::Persist facts) = 0;

  virtual void get(std::vector<JobId> ids, std::function<void(std::vector<Found>)> done) = 0;
  /// Specifications of finished jobs and of unfinished durable ones, in the order asked; a null one where there is none.
  virtual void load(std::vector<JobId> ids, std::function<void(std::vector<core::LoadedSpec>)> done) = 0;
  /// An attempt that was not the last of its job, of unfinished jobs too; null where there is none.
  virtual void attempt(JobId id, Attempt attempt, std::function<void(core::EndedPtr)> done) = 0;
  /// In the order of seq.
  virtual void results(ResultsQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) = 0;
  /// In the order of id.
  virtual void list(ListQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) = 0;
  /// Ids of finished jobs that ended before `time`, at most `limit`.
  virtual void ended_before(Time time, std::size_t limit, std::function<void(std::vector<JobId>)> done) = 0;
  /// The oldest finished jobs behind `passed` that are past a bound at `now`, at most `limit`.
  virtual void overdue(Retention retention, Time now, PassedOver passed, std::size_t limit,
                       std::function<void(const Overdue&)> done) = 0;
  /// True where the group has, or had, a finished member.
  virtual void knows_group(std::string group, std::function<void(bool)> done) = 0;

  /// Commits what is there, then stops its thread. Callbacks that are outstanding are called before `done`. What is handed over
  /// or asked later, by one of them for example, is neither recorded nor answered.
  virtual void close(std::function<void()> done) = 0;
};

}  // namespace stint::db
