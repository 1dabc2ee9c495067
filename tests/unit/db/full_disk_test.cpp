// A disk that stays full: facts wait, new work is refused, reads go on, and so does everything when there is room again.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/db/disk_store.hpp"
#include "tests/unit/db/failing_disk.hpp"
#include "tests/unit/db/finished_jobs.hpp"
#include "tests/unit/db/sample_facts.hpp"

namespace stint::db {
namespace {

constexpr std::uint64_t for_ever = 1ULL << 60U;

class FullDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    disk_.open();
    disk_.persist(running_, core::StartFact{1, 1}, core::StartFact{2, 1});
    disk_.persist(core::FinishFact{end_of(running_, 0, 1)});
    disk_.settle();
  }
  void TearDown() override { FailingDisk::instance().heal(); }

  void fill_up() { FailingDisk::instance().plan(FailingDisk::Trouble::full, 1, for_ever); }
  [[nodiscard]] bool ballast() { return std::filesystem::exists(disk_.options().ballast_path); }
  void wait_for_refusals(std::size_t count) {
    EXPECT_TRUE(disk_.loop().run_until([&] { return disk_.refused().size() >= count; }));
  }
  /// Hands over the end of job 2 and waits until the store is stuck with it.
  void get_stuck() {
    fill_up();
    disk_.persist(core::FinishFact{end_of(running_, 1, 2)});
    EXPECT_EQ(disk_.get(1).presence, Presence::found) << "reads go on";
    EXPECT_FALSE(ballast());
    EXPECT_EQ(disk_.durable(), 2U) << "and nothing is said of what waits";
  }

  DiskStore disk_{FailingDisk::name};
  core::SubmitFact running_ = submit_items(1, 3, sample_spec("{}"));
};

TEST_F(FullDiskTest, NewWorkIsRefusedAndTheReserveStays) {
  fill_up();
  const auto number = disk_.persist(submit_one(10, sample_spec("x")));
  disk_.settle();
  EXPECT_TRUE(disk_.was_refused(number));
  EXPECT_EQ(disk_.reason(), "the disk is full");
  EXPECT_TRUE(ballast()) << "there was nothing to record";
  EXPECT_FALSE(disk_.failure());
  FailingDisk::instance().heal();
  disk_.persist(submit_one(11, sample_spec("y")));
  disk_.settle();
  const auto recovered = disk_.reopen();
  ASSERT_EQ(recovered.jobs.size(), 3U);
  EXPECT_EQ(recovered.jobs[2].id, 11U);
  disk_.close();
}

TEST_F(FullDiskTest, FactsWaitAndAreRecordedWhenThereIsRoom) {
  get_stuck();
  const auto refused = disk_.persist(submit_one(10, sample_spec("x")), core::StartFact{10, 1});
  const auto mixed = disk_.persist(core::CancelFact{3}, core::StartFact{3, 1});
  wait_for_refusals(1);
  EXPECT_TRUE(disk_.was_refused(refused));
  EXPECT_FALSE(disk_.was_refused(mixed)) << "it is decided when its facts are";
  EXPECT_EQ(disk_.durable(), 2U);
  EXPECT_EQ(disk_.get(2).presence, Presence::never_existed);
  EXPECT_EQ(seqs(disk_.results({})), (std::vector<Seq>{1}));

  FailingDisk::instance().heal();
  disk_.settle();
  EXPECT_EQ(disk_.get(2).presence, Presence::found);
  EXPECT_FALSE(disk_.failure());
  const auto recovered = disk_.reopen();
  ASSERT_EQ(recovered.jobs.size(), 1U);
  EXPECT_TRUE(recovered.jobs[0].cancelled);
  EXPECT_EQ(seqs(disk_.results({})), (std::vector<Seq>{1, 2}));
  disk_.close();
}

TEST_F(FullDiskTest, TheReserveIsMadeAgainBeforeNewWorkIsTaken) {
  get_stuck();
  FailingDisk::instance().heal();
  disk_.settle();
  JobId id = 10;
  for (bool taken = false; !taken; ++id) {
    const auto number = disk_.persist(submit_one(id, sample_spec("x")));
    disk_.settle();
    taken = !disk_.was_refused(number);
    EXPECT_EQ(taken, ballast());
  }
  disk_.close();
}

TEST_F(FullDiskTest, WhatComesMeanwhileDoesNotMakeItTryMoreOften) {
  get_stuck();
  const auto before = FailingDisk::instance().failed();
  for (JobId id = 100; id < 600; ++id) {
    disk_.persist(submit_one(id, sample_spec("x")));
    EXPECT_EQ(disk_.get(1).presence, Presence::found);
  }
  EXPECT_LT(FailingDisk::instance().failed() - before, 250U);
  FailingDisk::instance().heal();
  disk_.settle();
  disk_.close();
}

TEST_F(FullDiskTest, ClosingDoesNotWaitForRoom) {
  get_stuck();
  disk_.close();
  FailingDisk::instance().heal();
  EXPECT_EQ(disk_.open().jobs.size(), 2U) << "what was never acknowledged may be gone";
  disk_.close();
}

}  // namespace
}  // namespace stint::db
