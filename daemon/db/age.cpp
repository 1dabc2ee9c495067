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

KeptTotals plus(KeptTotals left, const KeptTotals& right) {
  left.jobs += right.jobs;
  left.output_bytes += right.output_bytes;
  return left;
}

KeptTotals without(KeptTotals totals, const KeptTotals& kept) {
  totals.jobs -= std::min(totals.jobs, kept.jobs);
  totals.output_bytes -= std::min(totals.output_bytes, kept.output_bytes);
  return totals;
}

bool exceeds(const KeptTotals& totals, const Retention& retention) {
  return totals.jobs > retention.jobs || totals.output_bytes > retention.output_bytes;
}

std::optional<Time> earlier(std::optional<Time> left, std::optional<Time> right) {
  return left && right ? std::min(left, right) : left ? left : right;
}

Overdue those_overdue(const Oldest& oldest, KeptTotals totals, const Retention& retention, std::size_t limit) {
  Overdue overdue{.jobs = {}, .next = oldest.next, .totals = totals};
  std::unordered_set<JobId> taken;
  const auto take = [&](const Aged& job) {
    if (!taken.insert(job.id).second) return;
    overdue.jobs.push_back(job);
    totals = without(totals, {1, job.kept_bytes});
  };
  for (const auto& job : oldest.own) take(job);
  for (const auto& job : oldest.all) {
    if (!exceeds(totals, retention)) break;
    take(job);
  }
  for (const auto& job : oldest.plain) take(job);
  std::ranges::sort(overdue.jobs, {}, &Aged::seq);
  if (overdue.jobs.size() > limit) overdue.jobs.resize(limit);
  return overdue;
}

}  // namespace stint::db
