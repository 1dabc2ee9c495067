// What the methods may ask of the daemon: the only door from api/ to what lies behind it. The engine implements it.
//
// I/O thread only. Functions that may fail at once throw Error; callbacks are called on the I/O thread.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.hpp"
#include "common/protocol.hpp"
#include "common/task_api.hpp"
#include "daemon/core/scheduler.hpp"
#include "daemon/db/store.hpp"

namespace stint::feed {
class Feed;
class Exchange;
}  // namespace stint::feed

namespace stint::api {

struct Submitted {
  JobId first = 0;
  core::PersistNumber after = 0;  ///< what the answer waits for; 0 for non-durable jobs
};

/// A piece of kept or live output, and whether the stream is still being written.
struct OutputPiece {
  std::string bytes;
  std::uint64_t offset = 0;
  std::uint64_t next = 0;
  bool end = false;
  Attempt attempt = 0;  ///< whose output it is; 0: none has begun
  bool last = true;     ///< no further attempt will follow this one
};

class Backend {
 public:
  virtual ~Backend() = default;

  // ---- questions
  [[nodiscard]] virtual const core::Scheduler& scheduler() const = 0;
  [[nodiscard]] virtual db::Store& store() = 0;
  [[nodiscard]] virtual feed::Feed& feed() = 0;
  /// Channels and events.
  [[nodiscard]] virtual feed::Exchange& exchange() = 0;
  [[nodiscard]] virtual const TaskRegistry& tasks() const = 0;
  /// `daemon.info` and `daemon.stats` as JSON objects, less what api/ itself knows (bounds, capabilities, connections).
  [[nodiscard]] virtual nlohmann::json info() const = 0;
  [[nodiscard]] virtual nlohmann::json stats() const = 0;

  /// Calls `done` once Persist `number` is durable: at once, inside this call, where it is already. With an Error
  /// (`unavailable`) where it was refused. Calls are made in the order of their numbers.
  virtual void when_durable(core::PersistNumber number, std::function<void(std::optional<Error>)> done) = 0;

  /// For what was read: `done(true)` once all up to `number`, which it has seen, is durable; `done(false)` where some of that
  /// was refused first: what was read may tell of what never was.
  virtual void when_seen(core::PersistNumber number, std::function<void(bool stands)> done) = 0;

  // ---- events
  /// Jobs as they were decoded; executor and lane are resolved, task names checked (Errors name the field below
  /// `field`). Throws `draining`, `unavailable`, `invalid_params`.
  struct NewJob {
    std::shared_ptr<const JobSpec> spec;
    std::shared_ptr<const json::Raw> item;
    std::optional<std::uint32_t> index;
  };
  virtual Submitted submit(std::vector<NewJob> jobs, std::shared_ptr<const core::User> user, std::string_view field,
                           std::optional<core::SubmitKey> key = std::nullopt, std::optional<JobId> parent = std::nullopt) = 0;
  /// A connection of this attempt waits, or does not any more: its slot is lent meanwhile.
  virtual void lend(JobId job, Attempt attempt, bool waits) = 0;
  virtual void progress(JobId job, Attempt attempt, double value, std::string text) = 0;
  virtual core::CancelResult cancel(std::span<const JobId> ids, bool force) = 0;
  virtual core::CancelResult cancel_group(std::string_view group, bool force) = 0;
  virtual core::PersistNumber forget(std::vector<JobId> ids) = 0;
  virtual core::Changed set_semaphore(const std::string& name, std::uint64_t permits) = 0;
  /// Calls `done` once: with the lease when that is on disk, or with an Error (`timed_out`, `draining`, `unavailable`); not at
  /// all where the connection has gone while it waited. Throws what Scheduler::on_acquire throws.
  using AcquireDone = std::function<void(const std::optional<Error>&, core::LeaseId)>;
  virtual void acquire(core::Acquire what, std::optional<Duration> timeout, AcquireDone done) = 0;
  virtual core::PersistNumber release_lease(core::LeaseId lease, core::Holder holder) = 0;
  virtual core::PersistNumber resume_lease(core::LeaseId lease, core::Holder holder) = 0;
  /// A job that waits for others. Throws what Scheduler::on_wait throws.
  virtual void begin_wait(core::JobWait wait) = 0;
  virtual void end_wait(std::uint64_t call) = 0;
  /// What belonged to this connection is given back.
  virtual void connection_gone(std::uint64_t connection) = 0;
  virtual void signal(JobId id, int signal, std::function<void(std::optional<Error>)> done) = 0;
  virtual void write_input(JobId id, InputPiece piece, std::function<void(std::optional<Error>)> done) = 0;

  /// Output of a job in any state; `wait` as in exec::OutputQuery: that of an attempt that has not begun is waited for too.
  /// `attempt` 0 is the newest. Errors: `not_found`, `purged`, `conflict` (not captured).
  struct OutputQuestion {
    JobId id = 0;
    Attempt attempt = 0;
    StreamName of = StreamName::out;
    std::uint64_t offset = 0;
    std::uint64_t limit = 0;
    bool wait = false;
  };
  virtual void read_output(OutputQuestion question, std::function<void(std::optional<Error>, OutputPiece)> done) = 0;

  /// A pool comes, or is another one now; whether the caller may do that has been checked.
  virtual core::PersistNumber set_pool(PoolSpec spec, std::shared_ptr<const core::User> user) = 0;
  /// Its jobs are cancelled; ignored where there is none.
  virtual core::PersistNumber remove_pool(const std::string& name) = 0;

  /// Begins a drain, or changes the scope of the one that goes on. Throws `conflict` where the daemon is on its way down.
  virtual void drain(core::DrainScope scope) = 0;
  virtual void undrain() = 0;

  /// Begins the shutdown; the answer is sent first.
  virtual void shutdown(ShutdownMode mode) = 0;

  /// Runs `work` on a thread of the pool and then `done` on the I/O thread: for decoding of huge lines.
  virtual void offload(std::function<void()> work, std::function<void()> done) = 0;
};

}  // namespace stint::api
