// The rule of age.hpp.
#include "daemon/db/age.hpp"

#include <algorithm>
#include <unordered_set>

namespace stint::db {

std::vector<JobId> those_before(const std::vector<Aged>& oldest, Time time) {
  std::vector<JobId> ids;
  for (const auto& job : oldest) {
    if (job.finished_at >= time) break;
    ids.push_back(job.id);
  }
  return ids;
}

std::vector<JobId> those_overdue(const Oldest& oldest, KeptTotals totals, const Retention& retention, Time now,
                                 std::size_t limit) {
  std::vector<JobId> ids;
  std::unordered_set<JobId> taken;
  const auto take = [&](const Aged& job) {
    if (ids.size() == limit || !taken.insert(job.id).second) return;
    ids.push_back(job.id);
    --totals.jobs;
    totals.output_bytes -= job.kept_bytes;
  };
  for (const auto& job : oldest.own) take(job);
  for (const auto& job : oldest.all) {
    if (totals.jobs <= retention.jobs && totals.output_bytes <= retention.output_bytes) break;
    take(job);
  }
  for (const auto& job : oldest.plain) {
    if (job.finished_at >= now - retention.age) break;
    take(job);
  }
  return ids;
}

}  // namespace stint::db
