// The bounds of the store on disk, at each and one past it; and, where STINT_STEPS asks for it, how long many jobs take.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>

#include "daemon/db/fact_writer.hpp"
#include "daemon/db/sql_catalogue.hpp"
#include "tests/unit/db/disk_store.hpp"
#include "tests/unit/db/finished_jobs.hpp"
#include "tests/unit/db/sample_facts.hpp"

namespace stint::db {
namespace {

std::int64_t count(DiskStore& disk, const std::string& what) {
  return Connection(disk.options().path, {}).ask("SELECT count(*) FROM " + what);
}

/// True where the store answers with the very object that was handed over, without reading anything.
bool is_hot(DiskStore& disk, const core::FinishedPtr& job) { return disk.get(job->id).job == job; }

TEST(StoreBounds, SoManyFinishedJobsAreAnsweredFromMemory) {
  DiskStore disk;
  disk.open();
  const auto submit = submit_items(1, SqlCatalogue::hot_jobs_max + 1, sample_spec("{}", "g"));
  disk.persist(submit);
  std::vector<core::FinishedPtr> ends;
  for (std::size_t i = 0; i <= SqlCatalogue::hot_jobs_max; ++i) {
    ends.push_back(end_of(submit, i, i + 1, "x"));
    if (i == SqlCatalogue::hot_jobs_max) {
      EXPECT_TRUE(is_hot(disk, ends.front())) << "at the bound";
    }
    disk.persist(core::FinishFact{ends.back()});
  }
  EXPECT_FALSE(is_hot(disk, ends.front()));
  EXPECT_EQ(disk.get(1).presence, Presence::found);
  EXPECT_TRUE(is_hot(disk, ends[1]));
  EXPECT_EQ(seqs(disk.results({.group = {}, .uid = {}, .since = 0, .limit = 3})), (std::vector<Seq>{1, 2, 3}));
  EXPECT_EQ(seqs(disk.results({.group = {}, .uid = {}, .since = 1, .limit = 2})), (std::vector<Seq>{2, 3}));
  EXPECT_EQ(seqs(disk.results({.group = "g", .uid = 1000, .since = 0, .limit = 2})), (std::vector<Seq>{1, 2}));
  EXPECT_EQ(disk.results({.group = {}, .uid = {}, .since = 0, .limit = 10'000}).size(), SqlCatalogue::hot_jobs_max + 1);
  disk.close();
}

TEST(StoreBounds, SoManyBytesOfFinishedJobsAreHeldInMemory) {
  DiskStore disk;
  disk.open();
  const auto submit = submit_items(1, 5, sample_spec("{}"));
  disk.persist(submit);
  std::vector<core::FinishedPtr> ends;
  for (std::size_t i = 0; i < 5; ++i) {
    auto end = std::make_shared<core::FinishedJob>(*end_of(submit, i, i + 1, ""));
    end->record.clear();
    end->end.stdout_content->bytes.assign(SqlCatalogue::hot_bytes_max / 4 - end->item->text.size(), 'o');
    ends.push_back(std::move(end));
    if (i == 4) {
      EXPECT_TRUE(is_hot(disk, ends.front())) << "at the bound";
    }
    disk.persist(core::FinishFact{ends.back()});
  }
  EXPECT_FALSE(is_hot(disk, ends.front()));
  EXPECT_TRUE(is_hot(disk, ends[1]));
  EXPECT_EQ(disk.get(1).job->end, ends.front()->end);
  disk.close();
}

TEST(StoreBounds, LongSpecificationsHaveARowOfTheirOwn) {
  const std::size_t around = json::encode_text(*sample_spec("")).size();
  for (const std::size_t over : {0U, 1U}) {
    DiskStore disk;
    disk.open();
    auto spec = std::make_shared<JobSpec>(*sample_spec(""));
    spec->command->back().assign(FactWriter::inline_spec_bytes_max - around + over, 'w');
    ASSERT_EQ(json::encode_text(*spec).size(), FactWriter::inline_spec_bytes_max + over);
    disk.persist(submit_one(1, spec));
    disk.close();
    EXPECT_EQ(count(disk, "spec"), static_cast<std::int64_t>(over));
    EXPECT_EQ(text_of(*disk.load(disk.open().jobs.at(0).id).spec), text_of(*spec));
    disk.close();
  }
}

TEST(StoreBounds, SoManyGroupsWithoutMembersAreKnown) {
  DiskStore disk;
  disk.options().groups_max = 5;
  disk.open();
  const auto pass = [&](JobId id) {
    const auto submit = submit_one(id, sample_spec("x", "g" + std::to_string(id)));
    disk.persist(submit);
    disk.persist(core::FinishFact{end_of(submit, 0, id)});
  };
  pass(1);
  for (JobId id = 2; id <= 5; ++id) {
    pass(id);
    disk.persist(core::ForgetFact{{id}});
  }
  for (JobId id = 1; id <= 5; ++id) EXPECT_TRUE(disk.knows_group("g" + std::to_string(id))) << id;
  pass(6);
  EXPECT_TRUE(disk.knows_group("g1")) << "it has a member";
  EXPECT_FALSE(disk.knows_group("g2"));
  EXPECT_TRUE(disk.knows_group("g6"));
  for (JobId id = 7; id <= 100; ++id) {
    pass(id);
    disk.persist(core::ForgetFact{{id}});
  }
  EXPECT_TRUE(disk.knows_group("g1"));
  EXPECT_TRUE(disk.knows_group("g100"));
  EXPECT_EQ(seqs(disk.results({.group = "g6", .uid = {}})), (std::vector<Seq>{6}));
  disk.close();
  EXPECT_LE(count(disk, "label"), 6);
}

TEST(StoreBounds, TheLargestIds) {
  DiskStore disk;
  disk.open();
  const auto submit = submit_one(limits::id_max, sample_spec("x"));
  disk.persist(submit);
  disk.persist(core::FinishFact{end_of(submit, 0, limits::id_max)});
  EXPECT_EQ(disk.get(limits::id_max).presence, Presence::found);
  EXPECT_EQ(disk.get(limits::id_max + 1).presence, Presence::never_existed);
  EXPECT_EQ(disk.get(~JobId{0}).presence, Presence::never_existed);
  EXPECT_EQ(disk.list({.after = 0, .up_to = ~JobId{0}}).size(), 1U);
  EXPECT_TRUE(disk.list({.after = ~JobId{0}, .up_to = ~JobId{0}}).empty());
  EXPECT_TRUE(disk.results({.group = {}, .uid = {}, .since = ~Seq{0}}).empty());
  disk.persist(core::ForgetFact{{limits::id_max, ~JobId{0}}});
  EXPECT_EQ(disk.get(limits::id_max).presence, Presence::purged);
  EXPECT_EQ(disk.reopen().next_id, limits::id_max + 1);
  disk.close();
}

TEST(StoreBounds, ManyQueuedJobsAreBackSoon) {
  const char* const steps = std::getenv("STINT_STEPS");
  const std::size_t jobs = steps != nullptr ? std::stoull(steps) : 20'000;
  constexpr std::size_t some = 1'000;
  DiskStore disk;
  disk.open();
  for (JobId first = 1; first <= jobs; first += some) {
    core::SubmitFact submit{.first = first, .parent = 0, .at = Time{}, .user = sample_user(), .jobs = {}, .key = {}};
    for (std::size_t i = 0; i < some; ++i) {
      submit.jobs.push_back({sample_spec("/srv/data/of/a/usual/length/" + std::to_string(first + i)),
                             nullptr,
                             std::nullopt,
                             ExecutorKind::process,
                             core::Lane::program,
                             {},
                             {}});
    }
    disk.persist(std::move(submit));
    disk.settle();
  }
  disk.close();
  const auto begin = std::chrono::steady_clock::now();
  const std::size_t found = disk.open().jobs.size();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::cout << found << " queued jobs are back after " << took.count() << " s\n";
  EXPECT_GE(found, jobs);
  EXPECT_LT(took.count(), 30.0) << "nothing near what a start may take";
  disk.close();
}

}  // namespace
}  // namespace stint::db
