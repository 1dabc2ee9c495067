// The jobs that are here: unfinished, or finished and not yet on disk. Found by id, in order of id, and by group.
//
// Holds and links; decides nothing. A million queued jobs must fit, so a Job is small and what only a running one has
// lies in its state. Part of the core: one thread, no I/O. Throws std::bad_alloc only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>

#include "daemon/core/effects.hpp"
#include "daemon/core/paged_map.hpp"

namespace stint::core {

struct Group;

/// In no line: stands in the timetable until its time has come.
struct Waiting {
  Time until{};
};

/// Stands in its lane's line.
struct Queued {};

/// In no line any more, and will not start: ends when the store takes work again, where its start was refused after somebody
/// had cancelled it, or when its specification has come, without which there is no record.
struct Doomed {
  Outcome outcome{};
};

/// What only some runs have.
struct RunDetails {
  std::string worker;
  std::optional<double> progress;
};

/// What is known of an attempt once it began.
struct Run {
  std::optional<Time> started_at;  ///< nothing until the executor has begun it
  std::unique_ptr<RunDetails> details;
  std::optional<std::int32_t> pid;
};

/// Why an attempt was told to stop; the first reason stays.
enum class StopCause : std::uint8_t { none, cancelled, timed_out };

/// Holds a slot: its Start has been emitted.
struct Running {
  Run run;
  PersistNumber after = 0;  ///< the newest Persist that an effect about this attempt waits for
  Phase phase = Phase::starting;
  StopCause stop = StopCause::none;
  bool recalled = false;      ///< its Recall has been emitted
  std::uint32_t lenders = 0;  ///< its connections that wait: while there is one, its slot is lent
};

/// Its FinishFact is not durable yet.
struct Finished {
  FinishedPtr job;
  Run run;
};

struct Job {
  JobId id = 0;
  JobId parent = 0;                     ///< 0: none
  std::shared_ptr<const JobSpec> spec;  ///< null where it is shelved: it stands deep in a line, and the store has it
  std::shared_ptr<const json::Raw> item;
  std::shared_ptr<const User> user;
  Time submitted_at{};
  PersistNumber submitted_in = 0;  ///< 0: not durable
  std::variant<Queued, Waiting, Doomed, Running, Finished> state;
  Time expires_at{};  ///< the epoch: never
  // Neighbours in the group's list of unfinished jobs.
  Group* group = nullptr;
  Job* group_previous = nullptr;
  Job* group_next = nullptr;
  std::optional<std::uint32_t> index;
  Attempt attempt = 0;  ///< 0 before the first start
  std::int16_t priority = 0;
  Lane lane{};
  ExecutorKind executor{};
  bool durable = true;
  bool daemon = false;
  std::uint16_t pool = 0;  ///< of Lane::pool: its number
  bool limited = false;    ///< needs permits: Admission knows which

  [[nodiscard]] bool is_waiting() const { return std::holds_alternative<Waiting>(state); }
  [[nodiscard]] bool is_queued() const { return std::holds_alternative<Queued>(state); }
  [[nodiscard]] bool is_doomed() const { return std::holds_alternative<Doomed>(state); }
  [[nodiscard]] bool is_running() const { return std::holds_alternative<Running>(state); }
  [[nodiscard]] bool is_finished() const { return std::holds_alternative<Finished>(state); }
};

/// The unfinished jobs of one label, oldest first; gone when there is none.
struct Group {
  std::string label;
  Job* first = nullptr;
  Job* last = nullptr;
  std::uint64_t unfinished = 0;
};

class JobTable {
 public:
  /// Takes an unfinished job in and links it into its group, where it has one.
  Job& insert(std::unique_ptr<Job> job, const std::optional<std::string>& label);
  /// Unlinks it from its group: it is finished or vanishes.
  void leave_group(Job& job);
  /// Forgets a job that has left its group.
  void erase(JobId id) {
    jobs_.take(id);
    daemons_.erase(id);
  }

  [[nodiscard]] Job* find(JobId id) {
    auto* const job = jobs_.find(id);
    return job == nullptr ? nullptr : job->get();
  }
  [[nodiscard]] const Job* find(JobId id) const {
    const auto* const job = jobs_.find(id);
    return job == nullptr ? nullptr : job->get();
  }
  [[nodiscard]] const Group* group(std::string_view label) const;

  /// Jobs with an id above `after`, ascending, until `visit(const Job&)` returns false.
  template <class Visit>
  void each_after(JobId after, Visit&& visit) const {
    jobs_.each_after(after, [&](JobId, const std::unique_ptr<Job>& job) { return visit(std::as_const(*job)); });
  }

  /// Those with `daemon: true`.
  [[nodiscard]] const std::set<JobId>& daemons() const { return daemons_; }

  [[nodiscard]] std::size_t size() const { return jobs_.size(); }
  /// Re-derives groups and daemons from the jobs; throws std::logic_error that names the first difference.
  void check() const;

 private:
  PagedMap<std::unique_ptr<Job>> jobs_;
  std::set<JobId> daemons_;
  std::map<std::string, Group, std::less<>> groups_;  // nodes do not move: jobs point at them
};

}  // namespace stint::core
