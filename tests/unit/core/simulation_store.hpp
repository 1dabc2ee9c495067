// A model of a store for the simulation: commits some of what was handed over when it is told to, refuses new work at
// random, and keeps what it recorded, so that the simulation can tell whether an effect came before its facts.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "daemon/core/effects.hpp"

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

  /// The attempt never began: it may be recorded again.
  void returned(JobId id, Attempt attempt) { started_.erase({id, attempt}); }

  [[nodiscard]] bool has_work() const { return !handed_.empty(); }
  [[nodiscard]] bool submitted(JobId id) const { return submitted_.contains(id); }
  [[nodiscard]] bool started(JobId id, Attempt attempt) const { return started_.contains({id, attempt}); }
  [[nodiscard]] bool cancelled(JobId id) const { return cancelled_.contains(id); }
  [[nodiscard]] Seq finished(JobId id) const {
    const auto found = finished_.find(id);
    return found == finished_.end() ? 0 : found->second;
  }
  [[nodiscard]] const std::set<JobId>& refused_jobs() const { return refused_; }

 private:
  void apply(const Fact& fact);

  std::deque<Persist> handed_;
  PersistNumber newest_ = 0;
  std::set<JobId> submitted_;
  std::set<JobId> refused_;
  std::set<std::pair<JobId, Attempt>> started_;
  std::set<JobId> cancelled_;
  std::map<JobId, Seq> finished_;
};

}  // namespace stint::core::simulation
