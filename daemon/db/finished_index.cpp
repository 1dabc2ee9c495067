#include "daemon/db/finished_index.hpp"

#include <algorithm>

namespace stint::db {
namespace {

/// Of kept output, wherever it lies.
std::uint64_t kept_bytes(const core::FinishedJob& job) {
  std::uint64_t bytes = 0;
  for (const auto* content : {&job.end.stdout_content, &job.end.stderr_content}) {
    if (*content) bytes += std::min((*content)->size.bytes, job.spec->output_limit);
  }
  return bytes;
}

}  // namespace

void FinishedIndex::add(core::FinishedPtr job) {
  output_bytes_ += kept_bytes(*job);
  if (job->spec->group) groups_[*job->spec->group].seqs.push_back(job->seq);
  if (job->user) users_[job->user->uid].seqs.push_back(job->seq);
  by_seq_.insert(job->seq, job);
  const JobId id = job->id;
  by_id_.insert(id, std::move(job));
}

void FinishedIndex::forget(JobId id) {
  const core::FinishedPtr job = by_id_.take(id);
  if (!job) return;
  output_bytes_ -= kept_bytes(*job);
  by_seq_.take(job->seq);
  if (job->spec->group) drop_from(groups_[*job->spec->group]);
  if (job->user) drop_from(users_[job->user->uid]);
  forgotten_.insert(id);
}

// Sweeping when half are gone costs each forgotten job a constant.
void FinishedIndex::drop_from(Members& members) {
  if (++members.forgotten * 2 <= members.seqs.size()) return;
  std::erase_if(members.seqs, [this](Seq seq) { return by_seq_.find(seq) == nullptr; });
  members.seqs.shrink_to_fit();
  members.forgotten = 0;
}

Found FinishedIndex::get(JobId id) const {
  if (const auto* const job = by_id_.find(id)) return {Presence::found, *job};
  return {forgotten_.contains(id) ? Presence::purged : Presence::never_existed, nullptr};
}

template <class Take>
void FinishedIndex::each_since(Seq since, const Members& members, Take&& take) const {
  for (auto seq = std::ranges::upper_bound(members.seqs, since); seq != members.seqs.end(); ++seq) {
    const auto* const job = by_seq_.find(*seq);
    if (job != nullptr && !take(*job)) return;
  }
}

std::vector<core::FinishedPtr> FinishedIndex::results(const ResultsQuery& query) const {
  std::vector<core::FinishedPtr> page;
  const auto take = [&](const core::FinishedPtr& job) {
    if (query.uid && (!job->user || job->user->uid != *query.uid)) return true;
    page.push_back(job);
    return page.size() < query.limit;
  };
  if (query.limit == 0) return page;
  if (query.group) {
    const auto found = groups_.find(*query.group);
    if (found != groups_.end()) each_since(query.since, found->second, take);
  } else if (query.uid) {
    const auto found = users_.find(*query.uid);
    if (found != users_.end()) each_since(query.since, found->second, take);
  } else {
    by_seq_.each_after(query.since, [&](Seq, const core::FinishedPtr& job) { return take(job); });
  }
  return page;
}

std::vector<core::FinishedPtr> FinishedIndex::list(const ListQuery& query) const {
  std::vector<core::FinishedPtr> page;
  if (query.limit == 0) return page;
  by_id_.each_after(query.after, [&](JobId id, const core::FinishedPtr& job) {
    if (id > query.up_to) return false;
    page.push_back(job);
    return page.size() < query.limit;
  });
  return page;
}

// Seqs are given in the order of time but for clock steps, so the first that is too young ends it: what an odd clock
// hides behind that one is found when its turn has come.
std::vector<JobId> FinishedIndex::ended_before(Time time, std::size_t limit) const {
  std::vector<JobId> ids;
  if (limit == 0) return ids;
  by_seq_.each_after(0, [&](Seq, const core::FinishedPtr& job) {
    if (job->finished_at >= time) return false;
    ids.push_back(job->id);
    return ids.size() < limit;
  });
  return ids;
}

std::vector<JobId> FinishedIndex::overdue(const Retention& retention, Time now, std::size_t limit) const {
  std::vector<JobId> ids;
  std::uint64_t jobs = size();
  std::uint64_t bytes = output_bytes_;
  if (limit == 0) return ids;
  by_seq_.each_after(0, [&](Seq, const core::FinishedPtr& job) {
    const bool past = jobs > retention.jobs || bytes > retention.output_bytes || job->finished_at < now - retention.age;
    if (!past) return false;
    ids.push_back(job->id);
    --jobs;
    bytes -= kept_bytes(*job);
    return ids.size() < limit;
  });
  return ids;
}

}  // namespace stint::db
