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
      if (finish == nullptr || finish->job->spec->durable) throw std::logic_error("Persist 0 holds a durable fact");
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

void ModelStore::apply(const Fact& fact) {
  if (const auto* const submit = std::get_if<SubmitFact>(&fact)) {
    for (JobId id = submit->first; id < submit->first + submit->jobs.size(); ++id) submitted_.insert(id);
  } else if (const auto* const start = std::get_if<StartFact>(&fact)) {
    if (refused_.contains(start->id)) return;
    if (!submitted_.contains(start->id)) throw std::logic_error("a start of a job that was not submitted");
    if (!started_.emplace(start->id, start->attempt).second) throw std::logic_error("an attempt was recorded twice");
  } else if (const auto* const cancel = std::get_if<CancelFact>(&fact)) {
    if (!refused_.contains(cancel->id)) cancelled_.insert(cancel->id);
  } else if (const auto* const finish = std::get_if<FinishFact>(&fact)) {
    if (refused_.contains(finish->job->id)) return;
    if (finish->job->record.empty()) throw std::logic_error("a finish without a record");
    if (!finished_.emplace(finish->job->id, finish->job->seq).second) throw std::logic_error("a job finished twice");
  }
}

}  // namespace stint::core::simulation
