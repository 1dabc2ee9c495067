// Finished jobs in memory, found by id, in the order of seq, by group and by user: what the memory store answers from,
// and where the store on disk keeps those that are not durable and those that have just finished.
//
// A value without locks: the store's thread owns it. It never decides what is kept: who forgets says so. Throws
// std::bad_alloc only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/core/paged_map.hpp"
#include "daemon/db/age.hpp"
#include "daemon/db/catalogue.hpp"
#include "daemon/db/id_set.hpp"
#include "daemon/db/store.hpp"

namespace stint::db {

class FinishedIndex final : public Catalogue {
 public:
  void add(core::FinishedPtr job);
  /// Of a job that has not finished yet; gone when it has.
  void add(core::LoadedSpec spec) { unfinished_.insert_or_assign(spec.id, std::move(spec)); }
  /// Likewise; gone with the record.
  void add(core::EndedPtr attempt) { attempts_.insert_or_assign({attempt->id, attempt->attempt}, std::move(attempt)); }
  /// Drops the record; the id answers `purged` from now on. Unknown ids are ignored.
  void forget(JobId id);
  /// Takes a record out as if it had never been there; null where it is not.
  core::FinishedPtr evict(JobId id) { return take(id, false); }

  [[nodiscard]] Found get(JobId id) const override;
  [[nodiscard]] core::LoadedSpec load(JobId id) const override;
  [[nodiscard]] core::EndedPtr attempt(JobId id, Attempt attempt) const override;
  [[nodiscard]] std::vector<core::FinishedPtr> results(const ResultsQuery& query) const override;
  [[nodiscard]] std::vector<core::FinishedPtr> list(const ListQuery& query) const override;
  [[nodiscard]] std::vector<JobId> ended_before(Time time, std::size_t limit) const override;
  [[nodiscard]] Overdue overdue(const Retention& retention, Time now, const PassedOver& passed, std::size_t limit) const override;
  [[nodiscard]] bool knows_group(const std::string& group) const override { return groups_.contains(group); }

  /// The first in the order of seq.
  [[nodiscard]] std::vector<Aged> oldest(std::size_t limit) const;
  /// For the rule of retention, behind `after`; `all` of them only where that is asked for.
  [[nodiscard]] Oldest oldest_of_each(const Retention& retention, Time now, Seq after, bool all, std::size_t limit) const;
  [[nodiscard]] KeptTotals totals() const { return {by_id_.size(), output_bytes_}; }
  [[nodiscard]] std::size_t size() const { return by_id_.size(); }

 private:
  /// Ascending seqs; those that are gone stay until they are the greater part.
  struct Members {
    std::vector<Seq> seqs;
    std::size_t gone = 0;
  };
  core::FinishedPtr take(JobId id, bool remember_group);
  /// Of the output of all its attempts.
  [[nodiscard]] std::uint64_t kept_bytes(const core::FinishedJob& job) const;
  template <class Wanted>
  [[nodiscard]] std::vector<Aged> first(Seq after, std::size_t limit, Wanted&& wanted) const;
  [[nodiscard]] Aged aged(const core::FinishedJob& job) const { return {job.seq, job.id, job.finished_at, kept_bytes(job)}; }
  template <class Map, class Key>
  void drop_from(Map& map, const Key& key, bool remember);
  template <class Take>
  void each_since(Seq since, const Members& members, Take&& take) const;

  core::PagedMap<core::FinishedPtr> by_id_;
  core::PagedMap<core::FinishedPtr> by_seq_;
  std::unordered_map<std::string, Members> groups_;  // one that was forgotten stays known
  std::unordered_map<std::uint32_t, Members> users_;
  std::map<std::pair<JobId, Attempt>, core::EndedPtr> attempts_;
  std::unordered_map<JobId, core::LoadedSpec> unfinished_;
  IdSet forgotten_;
  std::set<std::pair<Time, Seq>> keep_ends_;  // of those that say themselves how long they are kept
  std::uint64_t output_bytes_ = 0;
};

}  // namespace stint::db
