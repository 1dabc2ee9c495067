// The memory store from outside: it answers later, in batches, in order, from another thread's post.
#include "daemon/db/memory_store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "tests/unit/db/finished_jobs.hpp"
#include "tests/unit/db/loop.hpp"

namespace stint::db {
namespace {

using namespace std::chrono_literals;

core::Persist finish(core::PersistNumber number, JobId id, Seq seq, const std::string& group = {}) {
  core::Persist persist{number, {}};
  persist.facts.emplace_back(core::FinishFact{finished(id, seq, group)});
  return persist;
}

core::Persist submit(core::PersistNumber number, JobId first, std::size_t count) {
  core::Persist persist{number, {}};
  core::SubmitFact fact;
  fact.first = first;
  fact.jobs.resize(count);
  persist.facts.emplace_back(std::move(fact));
  return persist;
}

class MemoryStoreTest : public testing::Test {
 protected:
  void make(MemoryStore::Trouble trouble = {}) {
    store_ = std::make_unique<MemoryStore>([this](std::function<void()> function) { loop_.post(std::move(function)); }, trouble);
    store_->on_commit([this](const CommitResult& result) {
      EXPECT_GT(result.durable, durable_) << "bounds only grow";
      durable_ = result.durable;
      refused_.insert(refused_.end(), result.refused.begin(), result.refused.end());
      EXPECT_TRUE(std::ranges::is_sorted(result.refused, std::greater{})) << "newest first";
      EXPECT_EQ(result.refused.empty(), result.reason.empty());
      ++commits_;
    });
  }
  Found get(JobId id) {
    std::optional<Found> found;
    store_->get({id}, [&](std::vector<Found> all) { found = all.at(0); });
    EXPECT_FALSE(found) << "never from inside the call";
    EXPECT_TRUE(loop_.run_until([&] { return found.has_value(); }));
    return found.value_or(Found{});
  }
  void close() {
    bool closed = false;
    store_->close([&] { closed = true; });
    EXPECT_TRUE(loop_.run_until([&] { return closed; }));
  }

  Loop loop_;
  std::unique_ptr<MemoryStore> store_;
  core::PersistNumber durable_ = 0;
  std::vector<core::PersistNumber> refused_;
  std::size_t commits_ = 0;
};

TEST_F(MemoryStoreTest, PatientFactsAreCommittedTogetherAndSoon) {
  make();
  for (core::PersistNumber number = 1; number <= 50; ++number) {
    core::Persist persist = finish(number, number, number);
    persist.patient = true;
    store_->persist(std::move(persist));
  }
  ASSERT_TRUE(loop_.run_until([&] { return durable_ == 50; })) << "although nothing urgent came after them";
  // A machine that stands still in the middle of the loop may cost another commit.
  EXPECT_LE(commits_, 3U);
}

TEST_F(MemoryStoreTest, AnUrgentFactTakesThePatientOnesAlong) {
  make();
  core::Persist patient = finish(1, 5, 1);
  patient.patient = true;
  store_->persist(std::move(patient));
  store_->persist(submit(2, 6, 1));
  ASSERT_TRUE(loop_.run_until([&] { return durable_ == 2; }));
  EXPECT_EQ(commits_, 1U);
}

TEST_F(MemoryStoreTest, AnswersLaterAndSeesWhatWasHandedOver) {
  make();
  store_->persist(submit(1, 5, 1));
  store_->persist(finish(2, 5, 1, "g"));
  EXPECT_EQ(durable_, 0U);
  EXPECT_EQ(get(5).presence, Presence::found);
  EXPECT_EQ(durable_, 2U) << "the commit is told before the answers that saw it";
  EXPECT_EQ(get(6).presence, Presence::never_existed);
  core::Persist forget{3, {}};
  forget.facts.emplace_back(core::ForgetFact{{5}});
  store_->persist(std::move(forget));
  EXPECT_EQ(get(5).presence, Presence::purged);

  bool known = false;
  std::optional<std::size_t> listed;
  std::optional<std::size_t> old;
  store_->list({.after = 0, .up_to = 9}, [&](const auto& jobs) { listed = jobs.size(); });
  store_->ended_before(Time{100s}, 5, [&](const auto& ids) { old = ids.size(); });
  store_->knows_group("g", [&](bool answer) {
    EXPECT_TRUE(listed && old) << "in the order of the calls";
    known = answer;
  });
  EXPECT_TRUE(loop_.run_until([&] { return known; }));
  EXPECT_EQ(listed, 0U);
  EXPECT_EQ(old, 0U);
  close();
}

TEST_F(MemoryStoreTest, WhatPilesUpIsOneCommitAndOnePost) {
  make({.seed = 1, .delay_max = std::chrono::milliseconds(20)});
  for (core::PersistNumber number = 1; number <= 10'000; ++number) store_->persist(finish(number, number, number));
  ASSERT_TRUE(loop_.run_until([&] { return durable_ == 10'000; }));
  EXPECT_LT(commits_, 1'000U);
  EXPECT_EQ(loop_.posts(), commits_);
  close();
}

TEST_F(MemoryStoreTest, FactsThatNobodyWaitsForWakeNobodyAndAreSeen) {
  make();
  for (JobId id = 1; id <= 100; ++id) store_->persist(finish(0, id, id));
  std::vector<core::FinishedPtr> page;
  store_->results({}, [&](std::vector<core::FinishedPtr> jobs) { page = std::move(jobs); });
  ASSERT_TRUE(loop_.run_until([&] { return !page.empty(); }));
  EXPECT_EQ(page.size(), 100U);
  EXPECT_EQ(loop_.posts(), 1U);
  EXPECT_EQ(commits_, 0U);
  close();
}

TEST_F(MemoryStoreTest, WithoutRoomNewWorkIsRefusedAndFactsAreRecorded) {
  make({.seed = 1, .refuse = 1});
  store_->persist(submit(1, 10, 2));
  core::Persist mixed = finish(2, 3, 1);
  mixed.facts.emplace_back(core::StartFact{4, 1});
  store_->persist(std::move(mixed));
  store_->persist(finish(3, 4, 2));
  ASSERT_TRUE(loop_.run_until([&] { return durable_ == 3; }));
  std::ranges::sort(refused_);
  EXPECT_EQ(refused_, (std::vector<core::PersistNumber>{1, 2}));
  EXPECT_EQ(get(3).presence, Presence::found);
  EXPECT_EQ(get(4).presence, Presence::found);
  close();
}

TEST_F(MemoryStoreTest, FactsOfARefusedSubmitThatWereOnTheirWayAreDropped) {
  make({.seed = 1, .refuse = 1});
  store_->persist(submit(1, 10, 2));
  store_->persist(finish(2, 11, 1));  // cancelled before anybody knew of the refusal
  ASSERT_TRUE(loop_.run_until([&] { return durable_ == 2; }));
  EXPECT_EQ(get(11).presence, Presence::never_existed);
  store_->persist(finish(3, 12, 2));  // not of that submit
  EXPECT_EQ(get(12).presence, Presence::found);
  close();
}

TEST_F(MemoryStoreTest, ClosingCommitsWhatIsThereAndAnswersFirst) {
  make({.seed = 3, .delay_max = std::chrono::milliseconds(5)});
  bool answered = false;
  store_->persist(finish(0, 1, 1));
  store_->persist(finish(1, 2, 2));
  store_->results({}, [&](std::vector<core::FinishedPtr> jobs) { answered = jobs.size() == 2; });
  bool late = false;
  store_->get({1}, [&](const auto&) {  // goes on asking, as one does who reads page by page
    store_->persist(finish(2, 3, 3));
    store_->get({1}, [&](const auto&) { late = true; });
  });
  bool closed = false;
  store_->close([&] {
    EXPECT_TRUE(answered);
    EXPECT_EQ(durable_, 1U);
    closed = true;
  });
  EXPECT_TRUE(loop_.run_until([&] { return closed; }));
  store_->persist(finish(3, 4, 4));
  std::size_t turns = 0;
  loop_.post([&] { ++turns; });
  EXPECT_TRUE(loop_.run_until([&] { return turns > 0; }));
  EXPECT_FALSE(late);
  EXPECT_EQ(durable_, 1U);
  EXPECT_THROW(store_->close([] {}), std::logic_error);
}

TEST_F(MemoryStoreTest, ThrownAwayWithWorkOnItsWayItCallsNobody) {
  make({.seed = 3, .delay_max = std::chrono::milliseconds(50)});
  bool called = false;
  store_->persist(finish(1, 1, 1));
  store_->get({1}, [&](const auto&) { called = true; });
  store_.reset();
  loop_.post([] {});
  std::size_t ran = 0;
  EXPECT_TRUE(loop_.run_until([&] { return ++ran == loop_.posts() + 1; }));
  EXPECT_FALSE(called);
  EXPECT_EQ(commits_, 0U);
}

}  // namespace
}  // namespace stint::db
