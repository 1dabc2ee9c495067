#include "daemon/db/memory_store.hpp"

#include <algorithm>
#include <random>
#include <thread>

#include "daemon/db/finished_index.hpp"
#include "daemon/db/id_set.hpp"

namespace stint::db {
namespace {

class MemoryKeeper final : public Keeper {
 public:
  explicit MemoryKeeper(MemoryStore::Trouble trouble) : trouble_(trouble), random_(trouble.seed) {}

  void work(std::vector<Operation>& operations, BatchOutcome& outcome) override {
    CommitResult result;
    for (auto& operation : operations) {
      if (auto* const persist = std::get_if<core::Persist>(&operation)) {
        commit(std::move(*persist), result);
      } else {
        outcome.answers.push_back(std::get<Question>(operation)(index_));
      }
    }
    operations.clear();
    if (result.durable == 0) return;
    std::ranges::reverse(result.refused);  // newest first
    outcome.commit = std::move(result);
  }
  void tidy(bool busy, BatchOutcome& outcome) override {
    static_cast<void>(busy);
    static_cast<void>(outcome);
  }
  void close() override {}
  [[nodiscard]] std::chrono::microseconds slowness() override {
    if (trouble_.delay_max.count() <= 0) return std::chrono::microseconds(0);
    return std::chrono::microseconds(std::uniform_int_distribution<std::int64_t>(0, trouble_.delay_max.count())(random_));
  }

 private:
  void commit(core::Persist persist, CommitResult& result) {
    const bool new_work = std::ranges::any_of(persist.facts, core::refusable);
    const bool refuse = new_work && trouble_.refuse > 0 && std::bernoulli_distribution(trouble_.refuse)(random_);
    if (new_work && !refuse) result.took_new_work = true;
    for (auto& fact : persist.facts) {
      const auto* const submit = std::get_if<core::SubmitFact>(&fact);
      if (refuse && submit != nullptr) {
        for (JobId id = submit->first; id < submit->first + submit->jobs.size(); ++id) refused_.insert(id);
      }
      if (!refuse || !core::refusable(fact)) apply(std::move(fact));
    }
    if (persist.number == 0) return;
    result.durable = persist.number;
    if (refuse) {
      result.refused.push_back(persist.number);
      result.reason = "the store has no room for new work";
    }
  }

  // Of unfinished jobs only the specification is remembered, which the core may have shelved; the rest is the core's.
  void apply(core::Fact fact) {
    if (auto* const submit = std::get_if<core::SubmitFact>(&fact)) {
      JobId id = submit->first;
      for (auto& job : submit->jobs) index_.add(core::LoadedSpec{id++, std::move(job.spec), std::move(job.item)});
    } else if (auto* const finish = std::get_if<core::FinishFact>(&fact)) {
      if (!refused_.contains(finish->job->id)) index_.add(std::move(finish->job));
    } else if (auto* const retry = std::get_if<core::RetryFact>(&fact)) {
      if (!refused_.contains(retry->attempt->id)) index_.add(std::move(retry->attempt));
    } else if (const auto* const forget = std::get_if<core::ForgetFact>(&fact)) {
      for (const JobId id : forget->ids) index_.forget(id);
    }
  }

  const MemoryStore::Trouble trouble_;
  FinishedIndex index_;
  IdSet refused_;  // facts about jobs whose submit was refused may still be on their way
  std::mt19937_64 random_;
};

}  // namespace

MemoryStore::MemoryStore(Post post, Trouble trouble) : ThreadedStore(std::move(post), std::make_unique<MemoryKeeper>(trouble)) {
  start();
}

}  // namespace stint::db
