// Stores that earlier versions have left, as SQL in layouts/: what is in them is found again, and goes on in the newest layout.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "daemon/db/schema.hpp"
#include "daemon/db/sqlite.hpp"
#include "tests/unit/db/disk_store.hpp"
#include "tests/unit/db/finished_jobs.hpp"
#include "tests/unit/db/sample_facts.hpp"

namespace stint::db {
namespace {

class MigrationTest : public testing::Test {
 protected:
  /// Opens the store that this layout has left.
  Recovered open(int layout) {
    std::ifstream file(std::string(STINT_LAYOUTS) + "/layout-" + std::to_string(layout) + ".sql");
    std::stringstream sql;
    sql << file.rdbuf();
    EXPECT_FALSE(sql.str().empty());
    {
      std::ofstream(disk_.options().path).close();  // a connection does not make its file
      Connection old(disk_.options().path, {});
      old.run(sql.str());
      EXPECT_EQ(old.ask("PRAGMA user_version"), layout);
    }
    return disk_.open();
  }
  /// What was there is there after another start too, and the file is sound and of the newest layout.
  Recovered open_again() {
    Recovered again = disk_.reopen();
    disk_.close();
    Connection file(disk_.options().path, {});
    EXPECT_EQ(file.ask("PRAGMA user_version"), schema_version());
    Statement check = file.prepare("PRAGMA integrity_check");
    EXPECT_TRUE(check.step());
    EXPECT_EQ(check.bytes(0), "ok");
    return again;
  }

  DiskStore disk_;
};

/// "1 priority 0, group g, …" of what a scheduler goes on with.
std::string told(const StoredJob& job) {
  return std::to_string(job.id) + " attempt " + std::to_string(job.attempt) + (job.cancelled ? " cancelled" : "") + " priority " +
         std::to_string(job.priority) + " group " + job.group.value_or("none") + (job.daemon ? " daemon" : "") +
         (job.waits_until ? " waits" : "") + " of " + job.user->name;
}

std::vector<std::string> told(const Recovered& recovered) {
  std::vector<std::string> all;
  for (const auto& job : recovered.jobs) all.push_back(told(job));
  return all;
}

TEST_F(MigrationTest, TheFirstLayout) {
  const Recovered recovered = open(1);
  const std::vector<std::string> jobs{
      "4 attempt 1 priority 0 group none daemon of user1000",
      "5 attempt 0 priority 7 group later of user1000",
      "6 attempt 0 priority -2 group many of user1000",
      "7 attempt 0 cancelled priority -2 group many of user1000",
  };
  EXPECT_EQ(told(recovered), jobs);
  EXPECT_EQ(recovered.jobs.at(1).parent, 4U);
  EXPECT_EQ(disk_.load(4).spec->shell, "echo runs");
  EXPECT_EQ(disk_.load(7).item->text, "\"b c\"");
  EXPECT_EQ(disk_.load(7).spec->command, (std::vector<std::string>{"echo", "{}"}));

  EXPECT_EQ(seqs(disk_.results({})), (std::vector<Seq>{1, 2}));
  EXPECT_EQ(seqs(disk_.results({.group = "g", .uid = {}})), (std::vector<Seq>{1}));
  const Found first = disk_.get(1);
  ASSERT_EQ(first.presence, Presence::found);
  EXPECT_EQ(std::get<EndReport::Exited>(first.job->end.ending).code, 3);
  EXPECT_EQ(first.job->end.stderr_content->bytes, "two\n");
  EXPECT_EQ(std::get<EndReport::Returned>(disk_.get(2).job->end.ending).result.text, R"({"x":[1,2]})");
  EXPECT_EQ(disk_.get(3).presence, Presence::purged);
  const Retention tight{.age = std::chrono::hours(1'000'000), .jobs = 10, .output_bytes = 7};
  EXPECT_EQ(disk_.overdue(tight, Time{}, 9), (std::vector<JobId>{1}));
  EXPECT_EQ(told(open_again()), jobs);
}

TEST_F(MigrationTest, TheLayoutBeforeOutputOfEarlierAttemptsWasCounted) {
  const Recovered recovered = open(6);
  const std::vector<std::string> jobs{
      "4 attempt 1 priority 0 group none waits of user1000",
      "5 attempt 0 priority 7 group later waits of user1000",
      "6 attempt 0 priority 0 group many waits of user1000",
      "7 attempt 0 priority 0 group many waits of user1000",
  };
  EXPECT_EQ(told(recovered), jobs);
  EXPECT_EQ(disk_.load(4).spec->retry.max, 5U);
  EXPECT_EQ(seqs(disk_.results({})), (std::vector<Seq>{1, 2, 3}));
  EXPECT_EQ(disk_.get(3).job->attempt, 2U);
  const auto earlier = disk_.attempt(3, 1);
  ASSERT_TRUE(earlier);
  EXPECT_EQ(earlier->end.stdout_content->bytes, "1\n");
  EXPECT_EQ(earlier->kept_bytes, 0U);
  ASSERT_TRUE(disk_.attempt(4, 1));
  EXPECT_TRUE(disk_.next_due(Time{}));

  // A job that has been retried before and ends now.
  auto end = std::make_shared<core::FinishedJob>(*disk_.get(3).job);
  end->id = 4;
  end->seq = 9;
  end->spec = disk_.load(4).spec;
  disk_.persist(core::StartFact{4, 2}, core::FinishFact{end});
  EXPECT_EQ(seqs(disk_.results({})), (std::vector<Seq>{1, 2, 3, 9}));
  disk_.persist(core::ForgetFact{{3, 4}});
  EXPECT_FALSE(disk_.attempt(3, 1));
  EXPECT_FALSE(disk_.attempt(4, 1));
  EXPECT_EQ(told(open_again()), (std::vector<std::string>{jobs.begin() + 1, jobs.end()}));
}

}  // namespace
}  // namespace stint::db
