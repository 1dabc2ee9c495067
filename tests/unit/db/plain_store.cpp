#include "tests/unit/db/plain_store.hpp"

#include <algorithm>
#include <numeric>

#include "daemon/db/age.hpp"
#include "tests/unit/db/sample_facts.hpp"

namespace stint::db {

void PlainStore::apply(const core::Persist& persist, bool with_new_work) {
  for (const auto& fact : persist.facts) {
    if (!with_new_work && core::refusable(fact)) continue;
    if (const auto* const submitted = std::get_if<core::SubmitFact>(&fact)) {
      submit(*submitted);
    } else if (const auto* const start = std::get_if<core::StartFact>(&fact)) {
      if (!unfinished_.contains(start->id)) continue;
      unfinished_[start->id].attempt = start->attempt;
      unfinished_[start->id].waits_until.reset();
    } else if (const auto* const retry = std::get_if<core::RetryFact>(&fact)) {
      attempts_[{retry->attempt->id, retry->attempt->attempt}] = retry->attempt;
      if (!unfinished_.contains(retry->attempt->id)) continue;
      unfinished_[retry->attempt->id].attempt = retry->attempt->attempt;
      unfinished_[retry->attempt->id].waits_until = retry->attempt->again_at;
    } else if (const auto* const cancel = std::get_if<core::CancelFact>(&fact)) {
      if (unfinished_.contains(cancel->id)) unfinished_[cancel->id].cancelled = true;
    } else if (const auto* const ended = std::get_if<core::FinishFact>(&fact)) {
      finish(*ended, persist.number != 0);
    } else if (const auto* const forgotten = std::get_if<core::ForgetFact>(&fact)) {
      for (const JobId id : forgotten->ids) forget(id);
    } else if (const auto* const reserved = std::get_if<core::ReserveFact>(&fact)) {
      next_id_ = std::max(next_id_, reserved->ids);
      next_seq_ = std::max(next_seq_, reserved->seqs);
    }
  }
}

void PlainStore::submit(const core::SubmitFact& fact) {
  for (std::size_t i = 0; i < fact.jobs.size(); ++i) {
    const auto& job = fact.jobs[i];
    unfinished_[fact.first + i] = StoredJob{.id = fact.first + i,
                                            .parent = fact.parent,
                                            .spec = job.spec,
                                            .item = job.item,
                                            .priority = job.spec->priority,
                                            .daemon = job.spec->daemon,
                                            .group = job.spec->group,
                                            .pool = job.spec->pool,
                                            .index = job.index,
                                            .user = fact.user,
                                            .submitted_at = fact.at,
                                            .executor = job.executor,
                                            .lane = job.lane,
                                            .waits_until = job.not_before,
                                            .expires_at = job.expires_at};
  }
  next_id_ = std::max(next_id_, fact.first + fact.jobs.size());
}

void PlainStore::finish(const core::FinishFact& fact, bool durable) {
  if (durable && unfinished_.erase(fact.job->id) == 0) return;
  by_seq_[fact.job->seq] = fact.job;
  by_id_[fact.job->id] = fact.job;
  if (durable) {
    next_seq_ = std::max(next_seq_, fact.job->seq + 1);
  } else {
    transient_.insert(fact.job->id);
  }
  if (fact.job->spec->group) {
    groups_.insert(*fact.job->spec->group);
    if (durable) durable_groups_.insert(*fact.job->spec->group);
  }
}

void PlainStore::forget(JobId id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  by_seq_.erase(found->second->seq);
  by_id_.erase(found);
  transient_.erase(id);
  purged_.insert(id);
  attempts_.erase(attempts_.lower_bound({id, 0}), attempts_.lower_bound({id + 1, 0}));
}

void PlainStore::restart() {
  for (const JobId id : transient_) {
    by_seq_.erase(by_id_[id]->seq);
    by_id_.erase(id);
  }
  transient_.clear();
  groups_ = durable_groups_;
}

Presence PlainStore::presence(JobId id) const {
  if (by_id_.contains(id)) return Presence::found;
  return purged_.contains(id) ? Presence::purged : Presence::never_existed;
}

std::vector<core::FinishedPtr> PlainStore::results(const ResultsQuery& query) const {
  std::vector<core::FinishedPtr> page;
  for (const auto& [seq, job] : by_seq_) {
    if (seq <= query.since || page.size() == query.limit) continue;
    if (query.group && job->spec->group != query.group) continue;
    if (query.uid && job->user->uid != *query.uid) continue;
    page.push_back(job);
  }
  return page;
}

std::vector<core::FinishedPtr> PlainStore::list(const ListQuery& query) const {
  std::vector<core::FinishedPtr> page;
  for (const auto& [id, job] : by_id_) {
    if (id > query.after && id <= query.up_to && page.size() < query.limit) page.push_back(job);
  }
  return page;
}

std::vector<JobId> PlainStore::ended_before(Time time, std::size_t limit) const {
  std::vector<JobId> ids;
  for (const auto& [seq, job] : by_seq_) {
    if (job->finished_at < time && ids.size() < limit) ids.push_back(job->id);
  }
  return ids;
}

std::optional<Time> PlainStore::next_due(Time now, Duration age) const {
  std::set<Time> ends;
  for (const auto& [seq, job] : by_seq_) ends.insert(job->finished_at + job->spec->keep.value_or(age));
  const auto next = ends.lower_bound(now);
  return next == ends.end() ? std::nullopt : std::optional(*next);
}

std::vector<JobId> PlainStore::overdue(const Retention& retention, Time now, std::size_t limit, const PassedOver& passed) const {
  std::uint64_t jobs = by_seq_.size();
  std::uint64_t bytes = 0;
  const auto kept_bytes = [this](const core::FinishedJob& job) {
    std::uint64_t sum = core::kept_output_bytes(job.end, *job.spec);
    for (const auto& [whose, ended] : attempts_) sum += whose.first == job.id ? ended->kept_bytes : 0;
    return sum;
  };
  for (const auto& [seq, job] : by_seq_) bytes += kept_bytes(*job);
  jobs -= std::min(jobs, passed.kept.jobs);
  bytes -= std::min(bytes, passed.kept.output_bytes);
  std::map<Seq, JobId> taken;
  // The first `limit` of those that are meant.
  const auto take = [&](auto&& meant, auto&& wanted) {
    std::size_t seen = 0;
    for (auto at = by_seq_.upper_bound(passed.seq); at != by_seq_.end() && seen < limit; ++at) {
      const core::FinishedJob& job = *at->second;
      if (!meant(job)) continue;
      ++seen;
      if (!wanted() || !taken.emplace(job.seq, job.id).second) continue;
      jobs -= std::min<std::uint64_t>(jobs, 1);
      bytes -= std::min(bytes, kept_bytes(job));
    }
  };
  const auto always = [] { return true; };
  take([&](const auto& job) { return job.spec->keep && job.finished_at + *job.spec->keep < now; }, always);
  take([](const auto&) { return true; }, [&] { return jobs > retention.jobs || bytes > retention.output_bytes; });
  take([&](const auto& job) { return !job.spec->keep && now - job.finished_at > retention.age; }, always);
  std::vector<JobId> ids;
  for (const auto& [seq, id] : taken) {
    if (ids.size() < limit) ids.push_back(id);
  }
  return ids;
}

namespace {

std::string micros_of(const std::optional<Time>& time) {
  return time ? std::to_string(time->time_since_epoch().count()) : "never";
}

std::string describe(const StoredJob& job) {
  return std::to_string(job.id) + " parent " + std::to_string(job.parent) + " spec " + (job.spec ? text_of(*job.spec) : "none") +
         " item " + (job.item ? job.item->text : "none") + " index " + (job.index ? std::to_string(*job.index) : "none") +
         " priority " + std::to_string(job.priority) + " group " + job.group.value_or("none") + (job.daemon ? " daemon" : "") +
         " user " + std::to_string(job.user->uid) + " " + job.user->name + " at " +
         std::to_string(job.submitted_at.time_since_epoch().count()) + " on " + std::to_string(static_cast<int>(job.executor)) +
         " " + std::to_string(static_cast<int>(job.lane)) + " attempt " + std::to_string(job.attempt) +
         (job.cancelled ? " cancelled" : "") + " waits " + micros_of(job.waits_until) + " expires " + micros_of(job.expires_at);
}

std::string describe(const core::FinishedJob& job) {
  return std::to_string(job.id) + " seq " + std::to_string(job.seq) + " attempt " + std::to_string(job.attempt) + " outcome " +
         std::to_string(static_cast<int>(job.outcome)) + " at " + std::to_string(job.finished_at.time_since_epoch().count()) +
         " user " + std::to_string(job.user->uid) + " " + job.user->name + " spec " + text_of(*job.spec) + " item " +
         (job.item ? job.item->text : "none") + " index " + (job.index ? std::to_string(*job.index) : "none") + " record " +
         job.record;
}

std::string describe(const std::vector<core::FinishedPtr>& jobs) {
  std::string all;
  for (const auto& job : jobs) all += describe(*job) + "; ";
  return all;
}

std::string describe(const std::vector<JobId>& ids) {
  std::string all;
  for (const JobId id : ids) all += std::to_string(id) + " ";
  return all;
}

/// Endings have no text of their own.
bool same_ends(const std::vector<core::FinishedPtr>& a, const std::vector<core::FinishedPtr>& b) {
  return std::ranges::equal(a, b, [](const auto& one, const auto& other) { return one->end == other->end; });
}

template <class T>
std::string compare(const std::string& what, const T& found, const T& wanted) {
  const std::string is = describe(found);
  const std::string should = describe(wanted);
  return is == should ? std::string() : what + ": it is [" + is + "] and should be [" + should + "]";
}

std::string compare_pages(const std::string& what, const std::vector<core::FinishedPtr>& found,
                          const std::vector<core::FinishedPtr>& wanted) {
  std::string is = compare(what, found, wanted);
  if (is.empty() && !same_ends(found, wanted)) is = what + ": the endings are not the same";
  return is;
}

/// Pages through everything, so that their borders are seen too.
std::string compare_results(DiskStore& disk, const PlainStore& model, ResultsQuery query) {
  for (;;) {
    const auto wanted = model.results(query);
    const std::string what = "results of " + query.group.value_or("all") + " since " + std::to_string(query.since);
    if (auto differs = compare_pages(what, disk.results(query), wanted); !differs.empty()) return differs;
    if (wanted.empty()) return {};
    query.since = wanted.back()->seq;
  }
}

}  // namespace

std::string difference(const Recovered& recovered, const PlainStore& model) {
  if (recovered.next_id != model.next_id()) return "next id " + std::to_string(recovered.next_id);
  if (recovered.next_seq != model.next_seq()) return "next seq " + std::to_string(recovered.next_seq);
  std::string found;
  std::string wanted;
  for (const auto& job : recovered.jobs) found += describe(job) + "; ";
  for (const auto& [id, job] : model.unfinished()) {
    StoredJob read = job;
    if (!job.has_started()) {
      read.spec.reset();
      read.item.reset();
    }
    wanted += describe(read) + "; ";
  }
  return found == wanted ? std::string() : "unfinished: it is [" + found + "] and should be [" + wanted + "]";
}

std::string difference(DiskStore& disk, const PlainStore& model) {
  std::vector<JobId> ids(model.next_id() + 2);
  std::iota(ids.begin(), ids.end(), JobId{0});
  const auto all = disk.get(ids);
  for (const JobId id : ids) {
    const Presence found = all.at(id).presence;
    if (found != model.presence(id)) return "job " + std::to_string(id) + " is " + std::to_string(static_cast<int>(found));
  }
  std::vector<std::optional<std::string>> groups{std::nullopt, "no such group"};
  for (const auto& group : model.groups()) groups.emplace_back(group);
  for (const auto& group : groups) {
    if (group && disk.knows_group(*group) != model.groups().contains(*group)) return "group " + *group;
    for (const auto uid : {std::optional<std::uint32_t>{}, std::optional<std::uint32_t>{1000}, std::optional<std::uint32_t>{1}}) {
      for (const std::size_t limit : {1'000U, 7U}) {
        if (auto differs = compare_results(disk, model, {group, uid, 0, limit}); !differs.empty()) return differs;
      }
    }
  }
  const std::vector<ListQuery> lists{{0, model.next_id(), 1'000}, {3, model.next_id() / 2, 5}, {7, 3, 5}};
  for (const auto& query : lists) {
    if (auto differs = compare_pages("list", disk.list(query), model.list(query)); !differs.empty()) return differs;
  }
  const Time middle{std::chrono::seconds(model.next_seq() / 2)};
  if (auto differs = compare("ended before", disk.ended_before(middle, 10), model.ended_before(middle, 10)); !differs.empty()) {
    return differs;
  }
  for (JobId id = 1; id < model.next_id(); ++id) {
    for (Attempt attempt = 1; attempt < 6; ++attempt) {
      const auto wanted = model.attempts().find({id, attempt});
      const auto found = disk.attempt(id, attempt);
      const bool same = wanted == model.attempts().end() ? !found : found && *found == *wanted->second;
      if (!same) return "attempt " + std::to_string(attempt) + " of job " + std::to_string(id);
    }
  }
  for (const auto& [id, job] : model.unfinished()) {
    const auto loaded = disk.load(id);
    if (!loaded.spec || text_of(*loaded.spec) != text_of(*job.spec)) return "specification of job " + std::to_string(id);
    if ((loaded.item ? loaded.item->text : "") != (job.item ? job.item->text : "")) return "item of job " + std::to_string(id);
  }
  for (const auto& [seq, job] : model.finished()) {
    const auto loaded = disk.load(job->id);
    if (!loaded.spec || text_of(*loaded.spec) != text_of(*job->spec)) return "specification of job " + std::to_string(job->id);
  }
  // Jobs that are not durable may have ids above next_id.
  if (disk.load(model.next_id() + 1'000'000).spec) return "a specification of no job";
  const std::uint64_t jobs = model.finished().size();
  const std::vector<Retention> retentions{{std::chrono::hours(1), jobs / 2, 1U << 20U},
                                          {std::chrono::hours(1), jobs, jobs * 3},
                                          {middle.time_since_epoch(), jobs, 1U << 20U}};
  for (const auto& retention : retentions) {
    const Time now{std::chrono::seconds(model.next_seq())};
    if (disk.next_due(now, retention.age) != model.next_due(now, retention.age)) return "when the next comes of age";
    for (const PassedOver& passed : {PassedOver{}, PassedOver{model.next_seq() / 3, {2, 20}}}) {
      const auto wanted = model.overdue(retention, now, 50, passed);
      if (auto differs = compare("overdue", disk.overdue(retention, now, 50, passed), wanted); !differs.empty()) return differs;
    }
  }
  return {};
}

}  // namespace stint::db
