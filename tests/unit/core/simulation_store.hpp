// A model of a store for the simulation: commits some of what was handed over when it is told to, refuses new work at
// random, and keeps what it recorded, so that the simulation can tell whether an effect came before its facts.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/scheduler.hpp"

namespace stint::core::simulation {

class ModelStore {
 public:
  struct Refused {
    PersistNumber number = 0;
    std::vector<JobId> jobs;  // that were submitted with it
  };
  struct Commit {
    std::vector<Refused> refused;  // newest first
    PersistNumber durable = 0;
  };

  void hand_over(Persist persist);
  /// Works on the oldest facts; new work is refused with about the probability `refuse`.
  Commit commit(std::mt19937_64& random, double refuse);

  /// The daemon dies: of what was handed over some is committed and nobody is told, the rest is gone.
  void crash(std::mt19937_64& random);
  /// What the next daemon finds.
  [[nodiscard]] std::vector<StoredJob> unfinished() const;
  /// What a Load is answered with.
  [[nodiscard]] std::vector<LoadedSpec> load(const std::vector<JobId>& ids) const;
  [[nodiscard]] std::vector<StoredPool> pools() const;
  [[nodiscard]] JobId next_id() const { return next_id_; }
  [[nodiscard]] Seq next_seq() const { return next_seq_; }
  [[nodiscard]] StoredPermits permits() const;
  [[nodiscard]] LeaseId next_lease() const { return next_lease_; }
  [[nodiscard]] bool leased(LeaseId id) const { return id < next_lease_; }
  /// Was in memory only.
  void drop(JobId id);

  /// The attempt never began: it may be recorded again.
  void returned(JobId id, Attempt attempt) { returned_.emplace(id, attempt); }

  [[nodiscard]] bool has_work() const { return !handed_.empty(); }
  [[nodiscard]] bool submitted(JobId id) const { return submitted_.contains(id); }
  [[nodiscard]] bool started(JobId id, Attempt attempt) const { return started_.contains({id, attempt}); }
  [[nodiscard]] bool cancelled(JobId id) const { return cancelled_.contains(id); }
  [[nodiscard]] bool retried(JobId id, Attempt attempt) const { return retried_.contains({id, attempt}); }
  [[nodiscard]] Seq finished(JobId id) const {
    const auto found = finished_.find(id);
    return found == finished_.end() ? 0 : found->second;
  }
  [[nodiscard]] const std::set<JobId>& refused_jobs() const { return refused_; }

 private:
  void apply(const Fact& fact);
  void apply_submit(const SubmitFact& submit);

  std::deque<Persist> handed_;
  PersistNumber newest_ = 0;
  std::set<JobId> submitted_;
  std::set<JobId> refused_;
  std::set<std::pair<JobId, Attempt>> started_;
  std::set<JobId> cancelled_;
  std::map<std::string, StoredPool> pools_;
  std::set<std::pair<JobId, Attempt>> returned_;
  std::set<std::pair<JobId, Attempt>> retried_;
  std::map<JobId, Seq> finished_;
  std::map<JobId, StoredJob> unfinished_;
  JobId next_id_ = 1;
  Seq next_seq_ = 1;
  std::map<std::string, std::uint64_t> semaphores_;
  std::map<LeaseId, LeaseFact> leases_;
  LeaseId next_lease_ = 1;
};

}  // namespace stint::core::simulation
