// The store on disk from outside: what is recorded is there after it was closed or killed, and answers are whole.
#include "daemon/db/sqlite_store.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "daemon/db/sqlite.hpp"
#include "tests/unit/db/disk_store.hpp"
#include "tests/unit/db/finished_jobs.hpp"
#include "tests/unit/db/sample_facts.hpp"

namespace stint::db {
namespace {

TEST(SqliteStore, ANewFileBeginsAtOneAndEachStartIsAnEpoch) {
  DiskStore disk;
  for (std::uint32_t epoch = 1; epoch <= 3; ++epoch) {
    const Recovered recovered = disk.open();
    EXPECT_EQ(recovered.epoch, epoch);
    EXPECT_EQ(recovered.next_id, 1U);
    EXPECT_EQ(recovered.next_seq, 1U);
    EXPECT_TRUE(recovered.jobs.empty());
    epoch == 2 ? disk.drop() : disk.close();
  }
}

TEST(SqliteStore, AnUnfinishedJobComesBackWhole) {
  DiskStore disk;
  disk.open();
  auto submit = submit_one(5, sample_spec("one"), 1000, 3);
  submit.jobs[0].executor = ExecutorKind::thread;
  submit.jobs[0].lane = core::Lane::thread;
  disk.persist(submit);
  disk.settle();
  disk.drop();
  for (int round = 0; round < 2; ++round) {
    const Recovered recovered = disk.open();
    ASSERT_EQ(recovered.jobs.size(), 1U);
    const StoredJob& job = recovered.jobs[0];
    EXPECT_EQ(job.id, 5U);
    EXPECT_EQ(job.parent, 3U);
    EXPECT_FALSE(job.spec) << "it is read when its turn comes";
    EXPECT_EQ(text_of(*disk.load(5).spec), text_of(*submit.jobs[0].spec));
    EXPECT_FALSE(disk.load(5).item);
    EXPECT_FALSE(job.index);
    EXPECT_EQ(job.user->uid, 1000U);
    EXPECT_EQ(job.user->name, "user1000");
    EXPECT_EQ(job.submitted_at, submit.at);
    EXPECT_EQ(job.executor, ExecutorKind::thread);
    EXPECT_EQ(job.lane, core::Lane::thread);
    EXPECT_EQ(job.attempt, 0U);
    EXPECT_FALSE(job.cancelled);
    EXPECT_EQ(recovered.next_id, 6U);
    disk.close();
  }
}

TEST(SqliteStore, StartsAndCancelsComeBack) {
  DiskStore disk;
  disk.open();
  disk.persist(submit_one(1, sample_spec("a")), core::StartFact{1, 1});
  disk.persist(submit_one(2, sample_spec("b")));
  disk.persist(core::StartFact{2, 1});
  disk.persist(core::StartFact{2, 2}, core::CancelFact{2});
  disk.persist(submit_one(3, sample_spec("c")));
  disk.settle();
  const Recovered recovered = disk.reopen();
  ASSERT_EQ(recovered.jobs.size(), 3U);
  EXPECT_EQ(recovered.jobs[0].attempt, 1U);
  EXPECT_FALSE(recovered.jobs[0].cancelled);
  EXPECT_EQ(recovered.jobs[1].attempt, 2U);
  EXPECT_TRUE(recovered.jobs[1].cancelled);
  EXPECT_EQ(recovered.jobs[2].attempt, 0U);
  disk.close();
}

TEST(SqliteStore, PoolsComeBack) {
  DiskStore disk;
  disk.open();
  PoolSpec spec;
  spec.command = {"worker", "-x"};
  spec.size = 3;
  spec.env["A"] = "1";
  spec.idle_timeout = std::chrono::milliseconds(1'500);
  for (const char* name : {"a", "b"}) {
    spec.name = name;
    disk.persist(core::SetPoolFact{std::make_shared<const PoolSpec>(spec), sample_user()});
  }
  spec.size = 4;
  disk.persist(core::SetPoolFact{std::make_shared<const PoolSpec>(spec), sample_user(1001)}, core::RemovePoolFact{"a"});
  disk.settle();
  const Recovered recovered = disk.reopen();
  ASSERT_EQ(recovered.pools.size(), 1U);
  EXPECT_EQ(*recovered.pools[0].spec, spec);
  EXPECT_EQ(recovered.pools[0].owner->name, "user1001");
  disk.close();
}

TEST(SqliteStore, JobsOfATemplateShareOneSpecification) {
  DiskStore disk;
  disk.open();
  auto spec = std::make_shared<JobSpec>(*sample_spec("{}", "g"));
  spec->item_marker = "@@";
  const auto submit = submit_items(10, 3, spec);
  disk.persist(submit, core::StartFact{11, 1});
  disk.persist(core::FinishFact{end_of(submit, 1, 1)});
  disk.settle();
  const Recovered recovered = disk.reopen();
  ASSERT_EQ(recovered.jobs.size(), 2U);
  const JobId first = recovered.jobs[0].id;
  EXPECT_EQ(disk.load(first).spec, disk.load(recovered.jobs[1].id).spec);
  EXPECT_EQ(text_of(*disk.load(first).spec), text_of(*spec));
  EXPECT_EQ(disk.load(first).item->text, "\"item0\"");
  EXPECT_EQ(disk.load(recovered.jobs[1].id).item->text, "\"item2\"");
  EXPECT_EQ(recovered.jobs[1].index, 2U);
  expect_same(disk.get(11).job, *end_of(submit, 1, 1));

  // The specification goes with the last job that uses it.
  disk.persist(core::FinishFact{end_of(submit, 0, 2)}, core::FinishFact{end_of(submit, 2, 3)});
  disk.persist(core::ForgetFact{{10, 11}});
  disk.reopen();
  expect_same(disk.get(12).job, *end_of(submit, 2, 3));
  disk.persist(core::ForgetFact{{12}});
  disk.close();
  EXPECT_EQ(Connection(disk.options().path, {}).ask("SELECT count(*) FROM spec"), 0);
}

TEST(SqliteStore, AKeyLivesAsLongAsAnyJobOfItsCall) {
  DiskStore disk;
  disk.open();
  const auto other = submit_items(5, 5, sample_spec("{}"));
  auto submit = submit_items(10, 4, sample_spec("{}"));
  submit.key = core::SubmitKey{"nightly", "digest", "g"};
  disk.persist(other);
  disk.persist(submit);
  disk.persist(core::FinishFact{end_of(other, 4, 1)}, core::FinishFact{end_of(submit, 0, 2)},
               core::FinishFact{end_of(submit, 1, 3)});
  disk.persist(core::ForgetFact{{9, 10, 11}});
  const Recovered recovered = disk.reopen();
  ASSERT_EQ(recovered.keys.size(), 1U);
  EXPECT_EQ(recovered.keys[0].first, 10U);
  EXPECT_EQ(recovered.keys[0].count, 4U);
  using Runs = std::vector<std::pair<JobId, JobId>>;
  EXPECT_EQ(recovered.keys[0].gone, (Runs{{10, 11}}));
  disk.persist(core::FinishFact{end_of(submit, 2, 4)}, core::FinishFact{end_of(submit, 3, 5)});
  disk.persist(core::ForgetFact{{13}});
  EXPECT_EQ(disk.reopen().keys.at(0).gone, (Runs{{10, 11}, {13, 13}}));
  disk.persist(core::ForgetFact{{12}});
  EXPECT_TRUE(disk.reopen().keys.empty());
  disk.close();
}

TEST(SqliteStore, LongSpecificationsComeBackToo) {
  DiskStore disk;
  disk.open();
  for (const std::size_t size : {100U, 2'000U, 2'049U, 100'000U}) {
    const auto submit = submit_one(size, sample_spec(std::string(size, 'x')));
    disk.persist(submit);
    disk.persist(core::FinishFact{end_of(submit, 0, size)});
  }
  disk.reopen();
  for (const std::size_t size : {100U, 2'000U, 2'049U, 100'000U}) {
    EXPECT_EQ(disk.get(size).job->spec->command->back().size(), size);
  }
  disk.close();
}

TEST(SqliteStore, AFinishedJobIsWholeFromMemoryAndFromDisk) {
  DiskStore disk;
  disk.open();
  const auto submit = submit_items(1, 2, sample_spec("{}", "g"));
  const auto end = end_of(submit, 1, 9, std::string("\0\xff\n", 3));
  disk.persist(submit);
  disk.persist(core::FinishFact{end});
  EXPECT_EQ(disk.get(2).job, end) << "what has just finished is not read again";
  EXPECT_EQ(disk.durable(), 2U);
  disk.drop();
  EXPECT_EQ(disk.open().next_seq, 10U);
  expect_same(disk.get(2).job, *end);
  EXPECT_EQ(disk.get(1).presence, Presence::never_existed) << "it is unfinished: the core knows it";
  EXPECT_TRUE(disk.knows_group("g"));
  EXPECT_FALSE(disk.knows_group("h"));
  disk.close();
}

TEST(SqliteStore, AFinishOfAJobThatIsNotThereIsIgnored) {
  DiskStore disk;
  disk.open();
  const auto submit = submit_one(1, sample_spec("a", "g"));
  disk.persist(core::FinishFact{end_of(submit, 0, 1)});
  EXPECT_EQ(disk.get(1).presence, Presence::never_existed);
  disk.persist(submit);
  disk.persist(core::FinishFact{end_of(submit, 0, 2)});
  disk.persist(core::FinishFact{end_of(submit, 0, 3)});
  EXPECT_EQ(disk.get(1).job->seq, 2U) << "a job ends once";
  EXPECT_EQ(disk.results({}).size(), 1U);
  disk.close();
}

TEST(SqliteStore, ForgottenIsPurgedAndStaysSo) {
  DiskStore disk;
  disk.open();
  const auto submit = submit_items(1, 6, sample_spec("{}", "g"));
  disk.persist(submit);
  for (std::size_t i = 0; i < 5; ++i) disk.persist(core::FinishFact{end_of(submit, i, 10 + i)});
  disk.persist(core::ForgetFact{{5, 3, 1, 99, 6}});
  disk.persist(core::ForgetFact{{4}});
  for (int round = 0; round < 2; ++round) {
    for (const JobId id : {1U, 3U, 4U, 5U}) EXPECT_EQ(disk.get(id).presence, Presence::purged) << id;
    EXPECT_EQ(disk.get(2).presence, Presence::found);
    EXPECT_EQ(disk.get(6).presence, Presence::never_existed) << "unfinished jobs are not forgotten";
    EXPECT_EQ(disk.get(99).presence, Presence::never_existed);
    EXPECT_EQ(seqs(disk.results({})), (std::vector<Seq>{11}));
    EXPECT_TRUE(disk.knows_group("g"));
    const Recovered recovered = disk.reopen();
    EXPECT_EQ(recovered.next_id, 7U);
    EXPECT_EQ(recovered.next_seq, 15U) << "seqs of purged jobs are not given away again";
    EXPECT_EQ(recovered.jobs.size(), 1U);
  }
  disk.close();
  EXPECT_EQ(Connection(disk.options().path, {}).ask("SELECT count(*) FROM purged"), 2) << "1 and 3 to 5";
}

TEST(SqliteStore, WhatIsReservedIsNotGivenAwayAgain) {
  DiskStore disk;
  disk.open();
  disk.persist(core::ReserveFact{1'000, 500});
  disk.persist(core::ReserveFact{900, 600});
  disk.settle();
  const Recovered recovered = disk.reopen();
  EXPECT_EQ(recovered.next_id, 1'000U);
  EXPECT_EQ(recovered.next_seq, 600U);
  disk.close();
}

TEST(SqliteStore, JobsThatAreNotDurableAreMergedInAndGoWithTheProcess) {
  DiskStore disk;
  disk.open();
  const auto durable = submit_items(1, 4, sample_spec("{}", "g"));
  const auto other = submit_items(10, 4, sample_spec("{}", "g"));
  disk.persist(durable);
  disk.persist(core::FinishFact{end_of(durable, 0, 1)});
  disk.remember(end_of(other, 0, 2));
  disk.persist(core::FinishFact{end_of(durable, 1, 3)});
  disk.remember(end_of(other, 1, 4));
  for (const ResultsQuery& query :
       {ResultsQuery{}, ResultsQuery{.group = "g", .uid = {}}, ResultsQuery{.group = {}, .uid = 1000}}) {
    EXPECT_EQ(seqs(disk.results(query)), (std::vector<Seq>{1, 2, 3, 4}));
  }
  EXPECT_EQ(seqs(disk.results({.group = {}, .uid = {}, .since = 1, .limit = 2})), (std::vector<Seq>{2, 3}));
  EXPECT_EQ(seqs(disk.list({.after = 0, .up_to = 100})), (std::vector<Seq>{1, 3, 2, 4}));
  EXPECT_EQ(disk.ended_before(Time{std::chrono::seconds(4)}, 9), (std::vector<JobId>{1, 10, 2}));
  const Retention few{.age = std::chrono::hours(1), .jobs = 2, .output_bytes = 1'000};
  EXPECT_EQ(disk.overdue(few, Time{std::chrono::seconds(9)}, 9), (std::vector<JobId>{1, 10}));
  disk.persist(core::ForgetFact{{10}});
  EXPECT_EQ(disk.get(10).presence, Presence::purged);
  disk.reopen();
  EXPECT_EQ(disk.get(10).presence, Presence::purged);
  EXPECT_EQ(disk.get(11).presence, Presence::never_existed);
  EXPECT_EQ(seqs(disk.results({})), (std::vector<Seq>{1, 3}));
  disk.close();
}

TEST(SqliteStore, OutputOfEarlierAttemptsIsKeptAndCounted) {
  DiskStore disk;
  disk.open();
  auto spec = std::make_shared<JobSpec>(*sample_spec("x"));
  spec->retry.max = 2;
  const auto submit = submit_one(1, spec);
  const auto end = end_of(submit, 0, 1, "six..\n");
  disk.persist(submit, core::StartFact{1, 1});
  disk.persist(core::RetryFact{std::make_shared<const core::EndedAttempt>(
      core::EndedAttempt{1, 1, Outcome::failed, end->finished_at, end->finished_at, end->end, 100})});
  disk.persist(core::StartFact{1, 2}, core::FinishFact{end});
  const auto past = [&disk](std::uint64_t bytes) {
    const Retention bound{.age = std::chrono::hours(1), .jobs = 10, .output_bytes = bytes};
    return !disk.overdue(bound, Time{std::chrono::seconds(9)}, 9).empty();
  };
  for (int round = 0; round < 2; ++round) {
    EXPECT_FALSE(past(106));
    EXPECT_TRUE(past(105));
    EXPECT_EQ(disk.attempt(1, 1)->kept_bytes, 100U);
    disk.reopen();
  }
  // What is forgotten is counted no more.
  disk.persist(core::ForgetFact{{1}});
  disk.persist(submit_one(2, sample_spec("y")), core::FinishFact{end_of(submit_one(2, sample_spec("y")), 0, 2, "six..\n")});
  EXPECT_FALSE(past(6));
  EXPECT_TRUE(past(5));
  disk.close();
}

TEST(SqliteStore, OutputInFilesIsSyncedWithItsEnd) {
  const auto end_with_file = [](const core::SubmitFact& submit, Seq seq) {
    auto finished = std::make_shared<core::FinishedJob>(*end_of(submit, 0, seq));
    finished->end.stdout_content = OutputContent{{100'000, false}, {}, true};
    return core::FinishFact{std::move(finished)};
  };
  const auto submit = submit_one(1, sample_spec("x"));
  DiskStore disk;
  const std::string folder = std::filesystem::path(disk.options().path).parent_path() / "out";
  disk.options().output_folder = folder;
  disk.open();
  disk.persist(submit, end_with_file(submit, 1));
  disk.settle();
  EXPECT_FALSE(disk.failure()) << "somebody has taken the files away";
  std::ofstream(folder) << "no folder";
  disk.persist(submit_one(2, sample_spec("x")));
  const auto travels = submit_one(3, sample_spec("x"));
  disk.persist(travels, core::FinishFact{end_of(travels, 0, 2)});
  disk.settle();
  EXPECT_FALSE(disk.failure()) << "nothing lies in files";
  const auto other = submit_one(4, sample_spec("x"));
  disk.persist(other, end_with_file(other, 3));
  disk.settle();
  ASSERT_TRUE(disk.failure()) << "an end was acknowledged whose output is not on disk";
  EXPECT_NE(disk.failure()->find(folder), std::string::npos) << *disk.failure();
}

TEST(SqliteStore, WhenTheNextKeepEnds) {
  DiskStore disk;
  disk.open();
  const Time start{};
  EXPECT_EQ(disk.next_due(start), std::nullopt);
  JobId id = 1;
  for (const int seconds : {30, 10, 20}) {
    auto spec = std::make_shared<JobSpec>(*sample_spec("x"));
    spec->keep = std::chrono::seconds(seconds);
    const auto submit = submit_one(id, spec);
    disk.persist(submit, core::FinishFact{end_of(submit, 0, id)});  // ended in second 1, 2, 3
    ++id;
  }
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(disk.next_due(start), Time{std::chrono::seconds(12)});
    EXPECT_EQ(disk.next_due(Time{std::chrono::seconds(12)}), Time{std::chrono::seconds(12)});
    EXPECT_EQ(disk.next_due(Time{std::chrono::seconds(13)}), Time{std::chrono::seconds(23)});
    EXPECT_EQ(disk.next_due(Time{std::chrono::seconds(32)}), std::nullopt);
    disk.reopen();
  }
  disk.close();
}

TEST(SqliteStore, ResultsOfSeveralUsers) {
  DiskStore disk;
  disk.open();
  for (JobId id = 1; id <= 9; ++id) {
    const auto submit = submit_one(id, sample_spec("x", id % 2 == 0 ? "even" : ""), id % 3 == 0 ? 1 : 1000);
    disk.persist(submit);
    disk.persist(core::FinishFact{end_of(submit, 0, id)});
  }
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(seqs(disk.results({.group = {}, .uid = 1})), (std::vector<Seq>{3, 6, 9}));
    EXPECT_EQ(seqs(disk.results({.group = {}, .uid = 1000, .since = 2, .limit = 2})), (std::vector<Seq>{4, 5}));
    EXPECT_EQ(seqs(disk.results({.group = "even", .uid = 1})), (std::vector<Seq>{6}));
    EXPECT_EQ(seqs(disk.results({.group = "even", .uid = {}, .since = 2})), (std::vector<Seq>{4, 6, 8}));
    EXPECT_TRUE(disk.results({.group = "odd", .uid = {}}).empty());
    EXPECT_TRUE(disk.results({.group = {}, .uid = 7}).empty());
    EXPECT_TRUE(disk.results({.group = {}, .uid = {}, .since = 0, .limit = 0}).empty());
    disk.reopen();
  }
  disk.close();
}

TEST(SqliteStore, ClosedOrNeverRecoveredItStillCallsBack) {
  Loop loop;
  TemporaryFolder folder;
  const SqliteOptions options{.path = folder.file("stint.db"), .ballast_path = {}, .ballast_bytes = 0, .vfs = {}};
  SqliteStore store([&](std::function<void()> function) { loop.post(std::move(function)); }, options);
  bool closed = false;
  store.close([&] { closed = true; });
  EXPECT_FALSE(closed);
  EXPECT_TRUE(loop.run_until([&] { return closed; }));
  store.persist({});  // to no effect
  EXPECT_THROW(store.close([] {}), std::logic_error);
}

}  // namespace
}  // namespace stint::db
