// The n-th write, sync or truncation fails, for n = 1, 2, 3 … through a script: nothing that was acknowledged is lost, nothing
// that was refused appears, and what was under way is there as a whole or not at all.
#include "tests/unit/db/failing_disk.hpp"

#include <gtest/gtest.h>

#include "common/error.hpp"
#include "daemon/db/sqlite.hpp"
#include "tests/unit/db/plain_store.hpp"
#include "tests/unit/db/sample_facts.hpp"

namespace stint::db {
namespace {

using Trouble = FailingDisk::Trouble;

/// Each line is one Persist; `open again` where it is empty.
std::vector<std::vector<core::Fact>> script() {
  const auto one = submit_one(1, sample_spec("one", "g"));
  const auto items = submit_items(2, 6, sample_spec("{}", "g"));
  const auto large = submit_one(8, sample_spec(std::string(20'000, 'x')));
  const auto other = submit_one(9, sample_spec("other"), 1);
  std::vector<std::vector<core::Fact>> lines;
  lines.push_back({one, core::StartFact{1, 1}});
  lines.push_back({items, core::StartFact{2, 1}, core::StartFact{3, 1}});
  lines.push_back({core::FinishFact{end_of(one, 0, 1)}, core::StartFact{4, 1}});
  lines.push_back({});
  lines.push_back({large});
  lines.push_back({core::CancelFact{8}, core::FinishFact{end_of(large, 0, 2, std::string(20'000, 'y'))}});
  lines.push_back({core::FinishFact{end_of(items, 0, 3)}, core::StartFact{5, 1}});
  lines.push_back({core::ReserveFact{30, 30}});
  lines.push_back({other});
  lines.push_back({core::FinishFact{end_of(items, 1, 4)}, core::FinishFact{end_of(other, 0, 5)}});
  lines.push_back({});
  lines.push_back({core::ForgetFact{{1, 2, 8}}});
  lines.push_back({core::FinishFact{end_of(items, 2, 6)}});
  return lines;
}

class FailingDiskTest : public testing::Test {
 protected:
  /// Runs the script with the n-th call failing; false where nothing failed.
  bool run(Trouble trouble, std::uint64_t n, std::uint64_t count) {
    SCOPED_TRACE("call " + std::to_string(n));
    DiskStore disk(FailingDisk::name);
    PlainStore model;
    std::vector<core::Persist> undecided;
    FailingDisk& failing = FailingDisk::instance();
    failing.plan(trouble, n, count);
    try {
      EXPECT_EQ(difference(disk.open(), model), "");
      for (auto& line : script()) {
        if (line.empty()) {
          disk.close();
          EXPECT_EQ(difference(disk.open(), model), "");
          continue;
        }
        const core::Persist persist{1, line};
        const auto number = disk.persist_all(std::move(line));
        disk.settle();
        if (disk.failure()) {
          EXPECT_NE(trouble, Trouble::full) << *disk.failure();
          undecided.push_back(persist);
          break;
        }
        if (disk.was_refused(number)) {
          EXPECT_EQ(trouble, Trouble::full);
          EXPECT_TRUE(disk.reason().starts_with("the disk is full")) << disk.reason();
        }
        model.apply(persist, !disk.was_refused(number));
        refusals_ += disk.was_refused(number) ? 1 : 0;
      }
      if (disk.failure()) {
        EXPECT_FALSE(disk.get(1).job) << "a store that has failed answers nothing";
        EXPECT_EQ(disk.get(1).presence, Presence::never_existed);
        ++failures_;
      } else {
        EXPECT_EQ(difference(disk, model), "");
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unavailable);
      EXPECT_NE(error.message().find("stint.db"), std::string::npos) << error.message();
      ++refused_starts_;
    }
    const bool struck = failing.failed() > 0;
    failing.heal();
    look_again(disk, model, undecided);
    return struck;
  }

  /// Opened on a sound disk the store holds what was acknowledged, and what was under way or not.
  static void look_again(DiskStore& disk, PlainStore model, const std::vector<core::Persist>& undecided) {
    disk.drop();
    const Recovered recovered = disk.open();
    model.restart();
    std::vector<PlainStore> possible{model};
    for (const auto& persist : undecided) {
      for (const bool with_new_work : {true, false}) {
        possible.push_back(model);
        possible.back().apply(persist, with_new_work);
      }
    }
    std::string differs;
    for (const auto& each : possible) {
      differs = difference(recovered, each);
      if (differs.empty()) differs = difference(disk, each);
      if (differs.empty()) break;
    }
    EXPECT_EQ(differs, "") << "and so from the others";
    disk.close();
    Connection connection(disk.options().path, {});
    Statement check = connection.prepare("PRAGMA integrity_check");
    EXPECT_TRUE(check.step());
    EXPECT_EQ(check.bytes(0), "ok");
  }

  std::uint64_t failures_ = 0;
  std::uint64_t refused_starts_ = 0;
  std::uint64_t refusals_ = 0;
};

TEST_F(FailingDiskTest, NoRoomForOneWrite) {
  std::uint64_t n = 1;
  while (run(Trouble::full, n, 1) && !HasFailure()) ++n;
  EXPECT_GT(n, 20U) << "the script writes";
  EXPECT_GT(refusals_, 3U) << "new work was refused";
  EXPECT_EQ(failures_, 0U);
}

TEST_F(FailingDiskTest, NoRoomForAWhile) {
  std::uint64_t n = 1;
  while (run(Trouble::full, n, 5) && !HasFailure()) n += 7;
  EXPECT_GT(n, 20U);
}

TEST_F(FailingDiskTest, AWriteFails) {
  std::uint64_t n = 1;
  while (run(Trouble::write_error, n, 1) && !HasFailure()) ++n;
  EXPECT_GT(failures_, 5U);
  EXPECT_GT(refused_starts_, 1U);
}

TEST_F(FailingDiskTest, ASyncFails) {
  std::uint64_t n = 1;
  while (run(Trouble::sync_error, n, 1) && !HasFailure()) ++n;
  EXPECT_GT(failures_, 5U);
  EXPECT_GT(refused_starts_, 1U);
}

TEST_F(FailingDiskTest, ADiskThatStaysBrokenIsToldOnce) {
  std::uint64_t n = 1;
  while (run(Trouble::write_error, n, 1'000'000) && !HasFailure()) n += 3;
  EXPECT_GT(failures_, 2U);
}

}  // namespace
}  // namespace stint::db
