#include "daemon/db/finished_index.hpp"

#include <algorithm>

namespace stint::db {

void FinishedIndex::add(core::FinishedPtr job) {
  output_bytes_ += kept_bytes(*job);
  if (job->spec->group) groups_[*job->spec->group].seqs.push_back(job->seq);
  if (job->user) users_[job->user->uid].seqs.push_back(job->seq);
  if (job->spec->keep) keep_ends_.emplace(job->finished_at + *job->spec->keep, job->seq);
  by_seq_.insert(job->seq, job);
  const JobId id = job->id;
  unfinished_.erase(id);
  by_id_.insert(id, std::move(job));
}

void FinishedIndex::forget(JobId id) {
  if (!take(id, true)) return;
  forgotten_.insert(id);
  attempts_.erase(attempts_.lower_bound({id, 0}), attempts_.lower_bound({id + 1, 0}));
}

core::LoadedSpec FinishedIndex::load(JobId id) const {
  if (const auto found = unfinished_.find(id); found != unfinished_.end()) return found->second;
  const auto* const job = by_id_.find(id);
  return job == nullptr ? core::LoadedSpec{id, nullptr, nullptr} : core::LoadedSpec{id, (*job)->spec, (*job)->item};
}

core::EndedPtr FinishedIndex::attempt(JobId id, Attempt attempt) const {
  const auto found = attempts_.find({id, attempt});
  return found == attempts_.end() ? nullptr : found->second;
}

std::uint64_t FinishedIndex::kept_bytes(const core::FinishedJob& job) const {
  std::uint64_t bytes = core::kept_output_bytes(job.end, *job.spec);
  const auto end = attempts_.lower_bound({job.id + 1, 0});
  for (auto ended = attempts_.lower_bound({job.id, 0}); ended != end; ++ended) bytes += ended->second->kept_bytes;
  return bytes;
}

core::FinishedPtr FinishedIndex::take(JobId id, bool remember_group) {
  core::FinishedPtr job = by_id_.take(id);
  if (!job) return job;
  output_bytes_ -= kept_bytes(*job);
  by_seq_.take(job->seq);
  if (job->spec->keep) keep_ends_.erase({job->finished_at + *job->spec->keep, job->seq});
  if (job->spec->group) drop_from(groups_, *job->spec->group, remember_group);
  if (job->user) drop_from(users_, job->user->uid, remember_group);
  return job;
}

// Sweeping when half are gone costs each that goes a constant.
template <class Map, class Key>
void FinishedIndex::drop_from(Map& map, const Key& key, bool remember) {
  const auto found = map.find(key);
  Members& members = found->second;
  if (++members.gone * 2 <= members.seqs.size()) return;
  std::erase_if(members.seqs, [this](Seq seq) { return by_seq_.find(seq) == nullptr; });
  members.seqs.shrink_to_fit();
  members.gone = 0;
  if (members.seqs.empty() && !remember) map.erase(found);
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

std::vector<JobId> FinishedIndex::ended_before(Time time, std::size_t limit) const { return those_before(oldest(limit), time); }

Overdue FinishedIndex::overdue(const Retention& retention, Time now, const PassedOver& passed, std::size_t limit) const {
  const KeptTotals here = without(totals(), passed.kept);
  return those_overdue(oldest_of_each(retention, now, passed.seq, exceeds(here, retention), limit), here, retention, limit);
}

std::vector<Aged> FinishedIndex::oldest(std::size_t limit) const {
  return first(0, limit, [](const core::FinishedJob&) { return true; });
}

Oldest FinishedIndex::oldest_of_each(const Retention& retention, Time now, Seq after, bool all, std::size_t limit) const {
  const auto next_end = keep_ends_.lower_bound({now, 0});
  const bool any_over = next_end != keep_ends_.begin();
  Oldest oldest{
      .own = first(after, any_over ? limit : 0,
                   [now](const core::FinishedJob& job) { return job.spec->keep && job.finished_at + *job.spec->keep < now; }),
      .all = first(after, all ? limit : 0, [](const core::FinishedJob&) { return true; }),
      .plain = {},
      .next = next_end == keep_ends_.end() ? std::nullopt : std::optional(next_end->first)};
  by_seq_.each_after(after, [&](Seq, const core::FinishedPtr& job) {
    if (job->spec->keep) return true;
    const Time end = job->finished_at + retention.age;
    if (end >= now) {
      oldest.next = earlier(oldest.next, end);
      return false;
    }
    oldest.plain.push_back(aged(*job));
    return oldest.plain.size() < limit;
  });
  return oldest;
}

template <class Wanted>
std::vector<Aged> FinishedIndex::first(Seq after, std::size_t limit, Wanted&& wanted) const {
  std::vector<Aged> jobs;
  if (limit == 0) return jobs;
  by_seq_.each_after(after, [&](Seq, const core::FinishedPtr& job) {
    if (wanted(*job)) jobs.push_back(aged(*job));
    return jobs.size() < limit;
  });
  return jobs;
}

}  // namespace stint::db
