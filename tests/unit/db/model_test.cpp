// Random facts into the store on disk and into a plain model of it, opened again now and then: all answers are compared.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <random>

#include "tests/unit/db/plain_store.hpp"
#include "tests/unit/db/sample_facts.hpp"

namespace stint::db {
namespace {

/// Makes facts that the core could hand over, and keeps in mind which jobs there are.
class Facts {
 public:
  explicit Facts(std::mt19937_64& random) : random_(random) {}

  std::vector<core::Fact> some(const PlainStore& model) {
    std::vector<core::Fact> facts;
    switch (below(9)) {
      case 0:
      case 1: submit(facts); break;
      case 2:
        if (const auto id = unfinished(model)) facts.emplace_back(core::StartFact{*id, model.unfinished().at(*id).attempt + 1});
        break;
      case 3:
        if (const auto id = unfinished(model)) facts.emplace_back(core::CancelFact{*id});
        break;
      case 4:
      case 5:
        if (const auto id = unfinished(model)) facts.emplace_back(core::FinishFact{ended(model.unfinished().at(*id))});
        break;
      case 6: forget(facts); break;
      case 7:
        if (const auto id = unfinished(model)) retry(facts, model.unfinished().at(*id));
        break;
      default: reserve(facts);
    }
    return facts;
  }
  /// The end of a job that is not durable.
  core::FinishedPtr transient() {
    const auto submit = submit_one(next_id_++, sample_spec("t", below(2) == 0 ? "mixed" : ""), uid());
    return end_of(submit, 0, next_seq_++);
  }
  void restarted(const Recovered& recovered) {
    next_id_ = std::max(next_id_, recovered.next_id);
    next_seq_ = std::max(next_seq_, recovered.next_seq);
  }

 private:
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  std::uint32_t uid() { return below(4) == 0 ? 1 : 1000; }

  void submit(std::vector<core::Fact>& facts) {
    const std::string group = std::array{std::string(), std::string("mixed"), "g" + std::to_string(below(5))}.at(below(3));
    core::SubmitFact fact;
    if (below(3) == 0) {
      auto spec = std::make_shared<JobSpec>(*sample_spec("{}", group));
      spec->item_marker = below(2) == 0 ? "{}" : "@";
      fact = submit_items(next_id_, 1 + below(5), spec, uid());
    } else {
      fact = submit_one(next_id_, sample_spec(std::string(below(40) == 0 ? 3'000 : below(20), 'w'), group), uid(), below(3));
      for (auto more = below(3); more > 0; --more) {
        fact.jobs.push_back(
            {sample_spec("more", group), nullptr, std::nullopt, ExecutorKind::thread, core::Lane::thread, {}, {}});
      }
    }
    if (below(4) == 0) {
      auto special = std::make_shared<JobSpec>(*fact.jobs.back().spec);
      special->priority = static_cast<std::int32_t>(below(7)) - 3;
      special->daemon = below(2) == 0;
      fact.jobs.back().spec = special;
    }
    if (below(3) == 0) fact.jobs.back().not_before = Time{Duration{static_cast<std::int64_t>(below(1'000))}};
    if (below(3) == 0) fact.jobs.front().expires_at = Time{Duration{static_cast<std::int64_t>(below(1'000))}};
    const JobId first = fact.first;
    next_id_ += fact.jobs.size();
    facts.emplace_back(std::move(fact));
    if (below(2) == 0) facts.emplace_back(core::StartFact{first, 1});
  }
  void forget(std::vector<core::Fact>& facts) {
    core::ForgetFact fact;
    const JobId from = below(next_id_);
    for (auto count = 1 + below(8); count > 0; --count) fact.ids.push_back(below(2) == 0 ? from + count : below(next_id_ + 5));
    facts.emplace_back(std::move(fact));
  }
  void retry(std::vector<core::Fact>& facts, const StoredJob& job) {
    if (job.spec->retry.max == 0) return;
    const Attempt newest = job.attempt == 0 || job.waits_until ? job.attempt + 1 : job.attempt;
    if (newest != job.attempt) facts.emplace_back(core::StartFact{job.id, newest});
    core::SubmitFact submit{.first = job.id, .parent = 0, .at = job.submitted_at, .user = job.user, .jobs = {}, .key = {}};
    submit.jobs.push_back({job.spec, job.item, job.index, job.executor, job.lane, {}, {}});
    const auto ended = end_of(submit, 0, 1, std::string(below(30), 'r'));
    facts.emplace_back(core::RetryFact{std::make_shared<const core::EndedAttempt>(core::EndedAttempt{
        job.id, newest, Outcome::failed, ended->finished_at, Time{Duration{static_cast<std::int64_t>(below(1'000'000))}},
        ended->end, core::kept_output_bytes(ended->end, *job.spec)})});
  }
  void reserve(std::vector<core::Fact>& facts) {
    facts.emplace_back(core::ReserveFact{next_id_ + below(3), next_seq_ + below(3)});
  }

  std::optional<JobId> unfinished(const PlainStore& model) {
    if (model.unfinished().empty()) return std::nullopt;
    const auto from = model.unfinished().lower_bound(below(next_id_));
    return from == model.unfinished().end() ? model.unfinished().begin()->first : from->first;
  }
  core::FinishedPtr ended(const StoredJob& job) {
    core::SubmitFact submit{.first = job.id, .parent = 0, .at = job.submitted_at, .user = job.user, .jobs = {}, .key = {}};
    submit.jobs.push_back({job.spec, job.item, job.index, job.executor, job.lane, {}, {}});
    auto finished = std::make_shared<core::FinishedJob>(*end_of(submit, 0, next_seq_++, std::string(below(30), 'o')));
    finished->attempt = job.attempt;
    finished->outcome = static_cast<Outcome>(below(7));
    if (below(3) == 0) finished->end.ending = EndReport::Returned{json::Raw{"[1]"}};
    return finished;
  }

  std::mt19937_64& random_;
  JobId next_id_ = 1;
  Seq next_seq_ = 1;
};

TEST(StoreModel, RandomFactsAreAnsweredAsByThePlainModel) {
  const char* const given = std::getenv("STINT_SEED");
  const std::uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  const char* const steps_given = std::getenv("STINT_STEPS");
  const std::size_t steps = steps_given != nullptr ? std::stoull(steps_given) : 1'500;
  std::cout << "STINT_SEED=" << seed << " STINT_STEPS=" << steps << "\n";
  std::mt19937_64 random(seed);
  Facts facts(random);
  PlainStore model;
  DiskStore disk;
  disk.open();
  for (std::size_t step = 0; step < steps; ++step) {
    if (random() % 6 == 0) {
      core::Persist persist{0, {}};
      persist.facts.emplace_back(core::FinishFact{facts.transient()});
      disk.remember(std::get<core::FinishFact>(persist.facts[0]).job);
      model.apply(persist);
    } else if (core::Persist persist{1, facts.some(model)}; !persist.facts.empty()) {
      model.apply(persist);
      disk.persist_all(std::move(persist.facts));
    }
    if (random() % 100 == 0) {
      ASSERT_EQ(difference(disk, model), "") << "step " << step;
    }
    if (random() % 150 == 0) {
      if (random() % 2 == 0) {
        disk.close();
      } else {
        disk.settle();
        disk.drop();
      }
      model.restart();
      const Recovered recovered = disk.open();
      facts.restarted(recovered);
      ASSERT_EQ(difference(recovered, model), "") << "step " << step;
      ASSERT_EQ(difference(disk, model), "") << "opened again at step " << step;
    }
  }
  disk.close();
}

}  // namespace
}  // namespace stint::db
