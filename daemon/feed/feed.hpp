// News for whoever asked: results in order, waiting calls, numbered events.
//
// The engine calls `publish` for each event in the order of release (finished jobs in the order of seq), when it is
// durable and after the store was given the facts; sessions open and drop streams and waits. Streams are cursors: one
// that is caught up is handed records as they are published, a slow one falls back to reading pages of the store, so it
// loses nothing and costs nobody memory. Events are looked up by job, group and user: no publish walks all streams.
//
// I/O thread only. Store, scheduler and timers must outlive it; callbacks of the store may come until the store is
// closed, so the feed is destroyed after that.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/protocol.hpp"
#include "daemon/core/effects.hpp"
#include "daemon/core/scheduler.hpp"
#include "daemon/db/store.hpp"
#include "daemon/feed/sink.hpp"
#include "daemon/feed/timers.hpp"

namespace stint::feed {

/// What a stream of results or a wait is about: ids, a group, or (neither) everything of a user.
struct Selection {
  std::optional<std::vector<JobId>> ids;
  std::optional<std::string> group;
  std::uint32_t uid = 0;
};

struct ResultsOptions {
  Selection selection;
  Seq since = 0;
  Order order = Order::completion;
  RecordPart part;
  std::optional<Duration> timeout;
};

struct WaitOptions {
  Selection selection;
  Until until = Until::all;
  std::optional<Duration> timeout;
};

/// What a waiting call came to: the finished records as one JSON list, in the order of seq, and who is left.
struct WaitResult {
  std::string finished = "[]";
  std::vector<JobId> pending;
};

struct SubscribeOptions {
  std::vector<core::EventKind> kinds;  ///< empty: all
  std::optional<std::string> group;
  std::optional<std::uint64_t> since;
};

class Feed {
 public:
  Feed(const core::Scheduler& scheduler, db::Store& store, Timers& timers);
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  // ---- from the engine
  void publish(const core::Publish& event);
  /// Jobs may have moved: calls that wait for a drain look again. Some moves (back into the line) have no event.
  void jobs_moved();
  /// The daemon goes: streams end as `draining`, waiting calls are answered with that error.
  void close();

  // ---- from the methods

  /// A submit was refused by the store: its jobs do not exist any more. Who waits for them is told `why`.
  void vanished(JobId first, std::uint64_t count, const Error& why);
  /// This record is being dropped: streams up to `newest` that have it still to hand over end as `error`, `purged`.
  void forgotten(const core::FinishedJob& job, StreamId newest);

  [[nodiscard]] StreamId next_id() { return ++last_id_; }
  [[nodiscard]] StreamId last_id() const { return last_id_; }

  /// Calls `done` once: with the job when it has been announced, with nullptr when `timeout` has passed, with an Error
  /// when the daemon goes, or that with which the job has vanished. The job must be here and not announced (just submitted).
  using JobCallback = std::function<void(const core::FinishedPtr& job, const Error* error)>;
  void wait_job(StreamId id, JobId job, std::optional<Duration> timeout, JobCallback done);

  /// Calls `done` once: with nullptr when no job is left that a drain of this scope waits for, or when `timeout` has
  /// passed; with an Error when the daemon goes or the drain was ended. Maybe inside this call.
  using DrainCallback = std::function<void(const Error* error)>;
  void wait_drained(StreamId id, core::DrainScope scope, std::optional<Duration> timeout, DrainCallback done);

  /// The drain is over: calls that wait for one are answered `conflict`; with `but`, only those of another scope.
  void drain_ended(std::optional<core::DrainScope> but = std::nullopt);

  /// A call that waits for something that the feed does not know. `left` is called once where the waiting ends otherwise
  /// than by `served`: `timed_out`, `draining` (the daemon goes, maybe inside this call), `cancelled` (nobody is there).
  using LeftCallback = std::function<void(StreamEnd why)>;
  void hold(StreamId id, std::optional<Duration> timeout, LeftCallback left);
  void served(StreamId id);

  /// Calls `done` once. Errors: `not_found`, `purged`, `draining`, `limit_exceeded` (the answer is too large).
  void wait(StreamId id, WaitOptions options, std::function<void(std::optional<Error>, WaitResult)> done);

  /// Opens a stream of results: `opened` is called with nothing (items follow it) or with an Error (`not_found`,
  /// `purged`, `draining`), maybe inside this call.
  void results(StreamId id, ResultsOptions options, Sink& sink, std::function<void(std::optional<Error>)> opened);

  /// Opens a stream of events. Throws `draining`.
  void subscribe(StreamId id, SubscribeOptions options, Sink& sink);

  /// The stream's sink has room again.
  void resume(StreamId id);
  /// Ends a stream as `cancelled`; false where it is not open.
  bool cancel(StreamId id);
  /// A call that waits for jobs is answered with this error, one that is held is held no more; unknown ids are ignored.
  void refuse(StreamId id, const Error& error);
  /// Ends a stream or a waiting call without a word; unknown ids are ignored.
  void drop(StreamId id);

  /// An open stream has this finished job still to hand over.
  [[nodiscard]] bool awaits(const core::FinishedJob& job) const;
  /// Number of the newest event; 0 before the first.
  [[nodiscard]] std::uint64_t newest_event() const;
  /// Open streams and waiting calls.
  [[nodiscard]] std::size_t open_count() const;

 private:
  struct State;
  StreamId last_id_ = 0;
  std::unique_ptr<State> state_;
};

/// Appends a finished job's record, or that part of it.
void append_record(std::string& out, const core::FinishedJob& job, const RecordPart& part);

}  // namespace stint::feed
