// What a store must answer, written down plainly: the model that the one on disk is compared with.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/db/store.hpp"
#include "tests/unit/db/disk_store.hpp"

namespace stint::db {

class PlainStore {
 public:
  /// `with_new_work` false: the Persist was refused.
  void apply(const core::Persist& persist, bool with_new_work = true);
  /// What is not durable is gone.
  void restart();

  [[nodiscard]] Presence presence(JobId id) const;
  [[nodiscard]] std::vector<core::FinishedPtr> results(const ResultsQuery& query) const;
  [[nodiscard]] std::vector<core::FinishedPtr> list(const ListQuery& query) const;
  [[nodiscard]] std::vector<JobId> ended_before(Time time, std::size_t limit) const;
  [[nodiscard]] std::optional<Time> next_due(Time now, Duration age) const;
  [[nodiscard]] std::vector<JobId> overdue(const Retention& retention, Time now, std::size_t limit,
                                           const PassedOver& passed) const;
  [[nodiscard]] const std::map<JobId, StoredJob>& unfinished() const { return unfinished_; }
  [[nodiscard]] const std::map<Seq, core::FinishedPtr>& finished() const { return by_seq_; }
  [[nodiscard]] const std::map<std::pair<JobId, Attempt>, core::EndedPtr>& attempts() const { return attempts_; }
  [[nodiscard]] const std::set<std::string>& groups() const { return groups_; }
  [[nodiscard]] const std::set<JobId>& purged() const { return purged_; }
  [[nodiscard]] JobId next_id() const { return next_id_; }
  [[nodiscard]] Seq next_seq() const { return next_seq_; }

 private:
  void submit(const core::SubmitFact& fact);
  void finish(const core::FinishFact& fact, bool durable);
  void forget(JobId id);

  std::map<JobId, StoredJob> unfinished_;
  std::map<Seq, core::FinishedPtr> by_seq_;
  std::map<JobId, core::FinishedPtr> by_id_;
  std::map<std::pair<JobId, Attempt>, core::EndedPtr> attempts_;
  std::set<JobId> transient_;
  std::set<JobId> purged_;
  std::set<std::string> groups_;
  std::set<std::string> durable_groups_;
  JobId next_id_ = 1;
  Seq next_seq_ = 1;
};

/// The first difference between a store that was just opened and the model; empty where there is none.
[[nodiscard]] std::string difference(const Recovered& recovered, const PlainStore& model);
/// The same for all that can be asked.
[[nodiscard]] std::string difference(DiskStore& disk, const PlainStore& model);

}  // namespace stint::db
