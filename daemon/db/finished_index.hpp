// Finished jobs in memory, found by id, in the order of seq, by group and by user: what the memory store answers from.
//
// A value without locks: the store's thread owns it. It never decides what is kept: who forgets says so. Throws
// std::bad_alloc only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/core/paged_map.hpp"
#include "daemon/db/id_set.hpp"
#include "daemon/db/store.hpp"

namespace stint::db {

class FinishedIndex {
 public:
  void add(core::FinishedPtr job);
  /// Drops the record; the id answers `purged` from now on. Unknown ids are ignored.
  void forget(JobId id);

  [[nodiscard]] Found get(JobId id) const;
  [[nodiscard]] std::vector<core::FinishedPtr> results(const ResultsQuery& query) const;
  [[nodiscard]] std::vector<core::FinishedPtr> list(const ListQuery& query) const;
  [[nodiscard]] std::vector<JobId> ended_before(Time time, std::size_t limit) const;
  /// The oldest that are past a bound, at most `limit`.
  [[nodiscard]] std::vector<JobId> overdue(const Retention& retention, Time now, std::size_t limit) const;
  [[nodiscard]] bool knows_group(const std::string& group) const { return groups_.contains(group); }
  [[nodiscard]] std::size_t size() const { return by_id_.size(); }

 private:
  /// Ascending seqs; forgotten ones stay until they are the greater part.
  struct Members {
    std::vector<Seq> seqs;
    std::size_t forgotten = 0;
  };
  void drop_from(Members& members);
  template <class Take>
  void each_since(Seq since, const Members& members, Take&& take) const;

  core::PagedMap<core::FinishedPtr> by_id_;
  core::PagedMap<core::FinishedPtr> by_seq_;
  std::unordered_map<std::string, Members> groups_;  // stays when empty: the group has had a member
  std::unordered_map<std::uint32_t, Members> users_;
  IdSet forgotten_;
  std::uint64_t output_bytes_ = 0;
};

}  // namespace stint::db
