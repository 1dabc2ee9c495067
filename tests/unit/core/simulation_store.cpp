#include "tests/unit/core/simulation_store.hpp"

#include <algorithm>
#include <stdexcept>

namespace stint::core::simulation {

void ModelStore::hand_over(Persist persist) {
  if (persist.facts.empty()) throw std::logic_error("a Persist without facts");
  if (persist.number == 0) {
    // Remembered at once: nothing waits for it.
    for (const auto& fact : persist.facts) {
      const auto* const finish = std::get_if<FinishFact>(&fact);
      if (finish != nullptr ? finish->job->spec->durable : !std::holds_alternative<RetryFact>(fact)) {
        throw std::logic_error("Persist 0 holds a durable fact");
      }
      apply(fact);
    }
    return;
  }
  if (persist.number != newest_ + 1) throw std::logic_error("a Persist number was left out");
  newest_ = persist.number;
  handed_.push_back(std::move(persist));
}

ModelStore::Commit ModelStore::commit(std::mt19937_64& random, double refuse) {
  Commit result;
  // A store without room refuses all new work of a commit; now and then only some, which is the harder case.
  const bool no_room = std::bernoulli_distribution(refuse)(random);
  const double each = no_room ? 0.9 : refuse / 4;
  std::uniform_int_distribution<std::size_t> some(1, std::min<std::size_t>(handed_.size(), 12));
  for (std::size_t left = some(random); left > 0; --left) {
    const Persist persist = std::move(handed_.front());
    handed_.pop_front();
    const bool refused = std::ranges::any_of(persist.facts, refusable) && std::bernoulli_distribution(each)(random);
    if (refused) result.refused.insert(result.refused.begin(), Refused{persist.number, {}});
    for (const auto& fact : persist.facts) {
      if (!refused || !refusable(fact)) {
        apply(fact);
      } else if (const auto* const submit = std::get_if<SubmitFact>(&fact)) {
        for (JobId id = submit->first; id < submit->first + submit->jobs.size(); ++id) {
          refused_.insert(id);
          result.refused.front().jobs.push_back(id);
        }
      }
    }
    result.durable = persist.number;
  }
  return result;
}

void ModelStore::crash(std::mt19937_64& random) {
  for (auto left = std::uniform_int_distribution<std::size_t>(0, handed_.size())(random); left > 0; --left) {
    for (const auto& fact : handed_.front().facts) apply(fact);
    handed_.pop_front();
  }
  handed_.clear();
  newest_ = 0;
  refused_.erase(refused_.lower_bound(next_id_), refused_.end());  // nobody was told of these ids
}

void ModelStore::drop(JobId id) {
  finished_.erase(id);
  std::erase_if(retried_, [id](const auto& each) { return each.first == id; });
}

std::vector<StoredJob> ModelStore::unfinished() const {
  std::vector<StoredJob> jobs;
  for (const auto& [id, job] : unfinished_) {
    jobs.push_back(job);
    if (!job.has_started() && !job.limited) jobs.back().spec.reset();
  }
  return jobs;
}

std::vector<LoadedSpec> ModelStore::load(const std::vector<JobId>& ids) const {
  std::vector<LoadedSpec> loaded;
  for (const JobId id : ids) {
    const auto found = unfinished_.find(id);
    if (found == unfinished_.end()) throw std::logic_error("a specification is asked for that was not stored");
    loaded.push_back({id, found->second.spec, found->second.item});
  }
  return loaded;
}

std::vector<StoredPool> ModelStore::pools() const {
  std::vector<StoredPool> pools;
  for (const auto& [name, pool] : pools_) pools.push_back(pool);
  return pools;
}

void ModelStore::apply_submit(const SubmitFact& submit) {
  JobId id = submit.first;
  for (const auto& job : submit.jobs) {
    submitted_.insert(id);
    StoredJob& stored = unfinished_[id];
    stored.id = id++;
    stored.spec = job.spec;
    stored.priority = job.spec->priority;
    stored.daemon = job.spec->daemon;
    stored.limited = job.spec->needs_permits();
    stored.group = job.spec->group;
    stored.pool = job.spec->pool;
    stored.user = submit.user;
    stored.submitted_at = submit.at;
    stored.executor = job.executor;
    stored.lane = job.lane;
    stored.waits_until = job.not_before;
    stored.expires_at = job.expires_at;
  }
  next_id_ = std::max(next_id_, id);
}

StoredPermits ModelStore::permits() const {
  StoredPermits permits;
  for (const auto& [name, size] : semaphores_) permits.semaphores.push_back({name, size});
  for (const auto& [id, lease] : leases_) permits.leases.push_back(lease);
  return permits;
}

void ModelStore::apply(const Fact& fact) {
  if (const auto* const semaphore = std::get_if<SemaphoreFact>(&fact)) {
    semaphores_[semaphore->name] = semaphore->permits;
  } else if (const auto* const lease = std::get_if<LeaseFact>(&fact)) {
    if (!lease->bound_anew && lease->lease < next_lease_) throw std::logic_error("a lease's number was given twice");
    leases_[lease->lease] = *lease;
    next_lease_ = std::max(next_lease_, lease->lease + 1);
  } else if (const auto* const released = std::get_if<ReleaseFact>(&fact)) {
    leases_.erase(released->lease);
  } else if (const auto* const submit = std::get_if<SubmitFact>(&fact)) {
    apply_submit(*submit);
  } else if (const auto* const start = std::get_if<StartFact>(&fact)) {
    if (refused_.contains(start->id)) return;
    if (!submitted_.contains(start->id)) throw std::logic_error("a start of a job that was not submitted");
    const bool anew = returned_.erase({start->id, start->attempt}) > 0;
    if (!started_.emplace(start->id, start->attempt).second && !anew) throw std::logic_error("an attempt was recorded twice");
    unfinished_.at(start->id).attempt = start->attempt;
    unfinished_.at(start->id).waits_until.reset();
  } else if (const auto* const retry = std::get_if<RetryFact>(&fact)) {
    const EndedAttempt& ended = *retry->attempt;
    if (!retried_.emplace(ended.id, ended.attempt).second) throw std::logic_error("an attempt ended twice");
    const auto stored = unfinished_.find(ended.id);
    if (stored == unfinished_.end()) return;  // not durable
    if (!started_.contains({ended.id, ended.attempt})) throw std::logic_error("an attempt ended that was not started");
    stored->second.attempt = ended.attempt;
    stored->second.waits_until = ended.again_at;
  } else if (const auto* const cancel = std::get_if<CancelFact>(&fact)) {
    if (refused_.contains(cancel->id)) return;
    cancelled_.insert(cancel->id);
    unfinished_.at(cancel->id).cancelled = true;
  } else if (const auto* const finish = std::get_if<FinishFact>(&fact)) {
    if (refused_.contains(finish->job->id)) return;
    if (finish->job->record.empty()) throw std::logic_error("a finish without a record");
    if (!finished_.emplace(finish->job->id, finish->job->seq).second) throw std::logic_error("a job finished twice");
    if (unfinished_.erase(finish->job->id) > 0) next_seq_ = std::max(next_seq_, finish->job->seq + 1);
  } else if (const auto* const reserve = std::get_if<ReserveFact>(&fact)) {
    next_id_ = std::max(next_id_, reserve->ids);
    next_seq_ = std::max(next_seq_, reserve->seqs);
  } else if (const auto* const pool = std::get_if<SetPoolFact>(&fact)) {
    pools_[pool->spec->name] = {pool->spec, pool->owner};
  } else if (const auto* const removed = std::get_if<RemovePoolFact>(&fact)) {
    pools_.erase(removed->name);
  }
}

}  // namespace stint::core::simulation
