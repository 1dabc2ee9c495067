// What may be asked of finished jobs, wherever they are kept.
//
// Lives on the store's thread only. An answer counts what was recorded before the question and nothing else. What goes
// wrong while reading a file is thrown as StoreFailure; in memory nothing goes wrong but std::bad_alloc.
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "daemon/db/store.hpp"

namespace stint::db {

/// What is kept can be trusted no longer: nothing more may be acknowledged.
class StoreFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Catalogue {
 public:
  virtual ~Catalogue() = default;

  [[nodiscard]] virtual Found get(JobId id) const = 0;
  /// The specification of a job, finished or not; a null one where there is no such job.
  [[nodiscard]] virtual core::LoadedSpec load(JobId id) const = 0;
  /// Null where there is none.
  [[nodiscard]] virtual core::EndedPtr attempt(JobId id, Attempt attempt) const = 0;
  [[nodiscard]] virtual std::vector<core::FinishedPtr> results(const ResultsQuery& query) const = 0;
  [[nodiscard]] virtual std::vector<core::FinishedPtr> list(const ListQuery& query) const = 0;
  [[nodiscard]] virtual std::vector<JobId> ended_before(Time time, std::size_t limit) const = 0;
  /// The oldest behind `passed` that are past a bound, at most `limit`.
  [[nodiscard]] virtual Overdue overdue(const Retention& retention, Time now, const PassedOver& passed,
                                        std::size_t limit) const = 0;
  [[nodiscard]] virtual bool knows_group(const std::string& group) const = 0;
};

}  // namespace stint::db
