// The scheduler's ordinary life: submit, start, end, cancel, order, records.
#include "common/error.hpp"
#include "tests/unit/core/scheduler_fixture.hpp"

namespace stint::core {
namespace {

TEST_F(SchedulerTest, ASubmitAndItsStartsAreOnePersist) {
  const JobId first = submit(spec(), 3);
  EXPECT_EQ(facts(), "submit start");
  ASSERT_EQ(effects<Persist>().size(), 1U);
  const PersistNumber number = effects<Persist>()[0].number;
  EXPECT_EQ(number, scheduler_->newest_persist());
  EXPECT_TRUE(std::holds_alternative<Persist>(out_.front()));
  const auto starts = effects<Start>();
  ASSERT_EQ(starts.size(), 1U);
  EXPECT_EQ(starts[0].id, first);
  EXPECT_EQ(starts[0].attempt, 1U);
  EXPECT_EQ(starts[0].after, number);
  ASSERT_EQ(published(EventKind::submitted).size(), 3U);
  EXPECT_EQ(published(EventKind::submitted)[2].id, first + 2);
  EXPECT_EQ(published(EventKind::submitted)[2].after, number);
  EXPECT_EQ(scheduler_->last_id(), first + 2);
}

TEST_F(SchedulerTest, AnEndAndTheStartThatItsSlotAllowsAreOnePersist) {
  const JobId first = submit(spec(), 2);
  durable();
  started(first);
  ended(first, exited(0));
  EXPECT_EQ(facts(), "finish start");
  ASSERT_EQ(effects<Persist>().size(), 1U);
  ASSERT_EQ(published(EventKind::finished).size(), 1U);
  const auto finished = published(EventKind::finished)[0];
  EXPECT_EQ(finished.after, scheduler_->newest_persist());
  EXPECT_EQ(finished.finished->outcome, Outcome::succeeded);
  EXPECT_EQ(finished.finished->seq, 1U);
  EXPECT_EQ(effects<Start>()[0].id, first + 1);
  EXPECT_EQ(state_of(first), State::finished);
  durable();
  EXPECT_EQ(scheduler_->find(first), nullptr);
  EXPECT_NE(scheduler_->find(first + 1), nullptr);
}

TEST_F(SchedulerTest, ANonDurableJobWaitsForNothing) {
  reserve();
  const PersistNumber before = scheduler_->newest_persist();
  const JobId id = submit(transient());
  EXPECT_TRUE(effects<Persist>().empty());
  EXPECT_EQ(scheduler_->accepted_after(), 0U);
  EXPECT_EQ(effects<Start>()[0].after, 0U);
  ended(id, exited(1));
  ASSERT_EQ(effects<Persist>().size(), 1U);
  EXPECT_EQ(effects<Persist>()[0].number, 0U);
  EXPECT_EQ(facts(), "finish");
  EXPECT_EQ(published(EventKind::finished)[0].after, 0U);
  EXPECT_EQ(scheduler_->find(id), nullptr);
  EXPECT_EQ(scheduler_->newest_persist(), before);
}

TEST_F(SchedulerTest, AnnouncedInTheOrderOfSeqWhateverIsDurable) {
  make(slots(2));
  const JobId slow = submit(spec());
  const JobId quick = submit(transient());
  durable();
  ended(slow, exited(0));
  const PersistNumber pending = scheduler_->newest_persist();
  ended(quick, exited(0));
  EXPECT_EQ(published(EventKind::finished)[0].after, pending);
  EXPECT_EQ(published(EventKind::finished)[0].finished->seq, 2U);
  EXPECT_EQ(state_of(quick), State::finished);
  durable();
  EXPECT_EQ(scheduler_->find(quick), nullptr);
  EXPECT_TRUE(scheduler_->idle());
}

TEST_F(SchedulerTest, DurableAndOtherWorkInOneStepAreTwoPersists) {
  const JobId first = submit(transient());
  submit(spec());
  durable();
  ended(first, exited(0));
  ASSERT_EQ(effects<Persist>().size(), 2U);
  EXPECT_EQ(effects<Persist>()[0].number, 0U);
  EXPECT_EQ(effects<Persist>()[1].number, scheduler_->newest_persist());
  EXPECT_EQ(facts(), "finish start");
}

TEST_F(SchedulerTest, PriorityGoesBeforeAgeAndAgeCounts) {
  Config config = slots(1);
  config.ageing = std::chrono::seconds(1);
  make(config);
  const JobId running = submit(spec());
  const JobId plain = submit(spec());
  auto urgent_spec = spec();
  urgent_spec->priority = 10;
  now_ += std::chrono::seconds(9);
  const JobId urgent = submit(urgent_spec);
  now_ += std::chrono::seconds(2);
  const JobId too_late = submit(urgent_spec);
  ASSERT_EQ(scheduler_->why(*scheduler_->find(too_late)).size(), 1U);
  EXPECT_EQ(scheduler_->why(*scheduler_->find(urgent))[0].ahead, 0U);
  EXPECT_EQ(scheduler_->why(*scheduler_->find(plain))[0].ahead, 1U);
  EXPECT_EQ(scheduler_->why(*scheduler_->find(too_late))[0].ahead, 2U);
  EXPECT_TRUE(scheduler_->why(*scheduler_->find(running)).empty());
  ended(running, exited(0));
  EXPECT_EQ(effects<Start>()[0].id, urgent);
  ended(urgent, exited(0));
  EXPECT_EQ(effects<Start>()[0].id, plain);
}

TEST_F(SchedulerTest, LanesDoNotWaitForEachOther) {
  submit(spec(), 5, Lane::program);
  const JobId thread = submit(spec(), 1, Lane::thread);
  EXPECT_EQ(effects<Start>().at(0).id, thread);
  EXPECT_EQ(scheduler_->counts().queued[0], 4U);
}

TEST_F(SchedulerTest, ACancelledQueuedJobNeverStarts) {
  const JobId first = submit(spec(), 2);
  const auto result = cancel(first + 1);
  EXPECT_EQ(result.cancelled, (std::vector{first + 1}));
  EXPECT_EQ(facts(), "cancel finish");
  const auto finished = published(EventKind::finished).at(0).finished;
  EXPECT_EQ(finished->outcome, Outcome::cancelled);
  EXPECT_EQ(finished->attempt, 0U);
  EXPECT_TRUE(std::get<EndReport::Lost>(finished->end.ending).message.empty());
  EXPECT_EQ(finished->record.find("\"error\""), std::string::npos);
  EXPECT_NE(finished->record.find("\"outcome\":\"cancelled\""), std::string::npos);
  EXPECT_EQ(cancel(first + 1).already_finished, (std::vector{first + 1}));
  EXPECT_EQ(cancel(999).unknown, (std::vector<JobId>{999}));
}

TEST_F(SchedulerTest, ARunningJobIsToldToStopAndItsCodeIsKept) {
  const JobId id = submit(spec());
  durable();
  started(id);
  EXPECT_EQ(cancel(id).stopping, (std::vector{id}));
  EXPECT_EQ(facts(), "cancel");
  ASSERT_EQ(effects<Stop>().size(), 1U);
  EXPECT_EQ(effects<Stop>()[0].after, scheduler_->newest_persist());
  EXPECT_FALSE(effects<Stop>()[0].force);
  EXPECT_EQ(published(EventKind::stopping).size(), 1U);
  EXPECT_EQ(scheduler_->counts().stopping, 1U);

  EXPECT_EQ(cancel(id).stopping, (std::vector{id}));
  EXPECT_TRUE(out_.empty());
  cancel(id, true);
  EXPECT_TRUE(facts().empty());
  ASSERT_EQ(effects<Stop>().size(), 1U);
  EXPECT_TRUE(effects<Stop>()[0].force);

  ended(id, exited(0));
  const auto finished = published(EventKind::finished).at(0).finished;
  EXPECT_EQ(finished->outcome, Outcome::cancelled);
  EXPECT_NE(finished->record.find("\"exit_code\":0"), std::string::npos);
}

TEST_F(SchedulerTest, ACancelBeforeTheStartWasBegunStopsItAfterwards) {
  const JobId id = submit(spec());
  const PersistNumber start = effects<Start>().at(0).after;
  cancel(id);
  EXPECT_GT(effects<Stop>().at(0).after, start);
  durable();
  started(id);
  EXPECT_EQ(scheduler_->record_of(*scheduler_->find(id)).phase, Phase::stopping);
  ended(id, exited(143));
  EXPECT_EQ(published(EventKind::finished).at(0).finished->outcome, Outcome::cancelled);
}

TEST_F(SchedulerTest, TheFirstReasonToStopIsTheOutcome) {
  make(slots(4));
  const JobId first = submit(spec(), 4);
  const auto stopping = [&](JobId id) { scheduler_->on_stopping(id, 1, now_, out_); };
  stopping(first);
  cancel(first);
  cancel(first + 1);
  stopping(first + 1);
  EndReport late = exited(1);
  late.timed_out = true;
  ended(first, exited(0));
  EXPECT_EQ(published(EventKind::finished).at(0).finished->outcome, Outcome::timed_out);
  ended(first + 1, late);
  EXPECT_EQ(published(EventKind::finished).at(0).finished->outcome, Outcome::cancelled);
  ended(first + 2, late);
  EXPECT_EQ(published(EventKind::finished).at(0).finished->outcome, Outcome::timed_out);
  EndReport lost;
  lost.ending = EndReport::Lost{"the worker died"};
  ended(first + 3, lost);
  EXPECT_EQ(published(EventKind::finished).at(0).finished->outcome, Outcome::lost);
  const auto& outcomes = scheduler_->counts().outcomes;
  EXPECT_EQ(outcomes[static_cast<std::size_t>(Outcome::timed_out)], 2U);
}

TEST_F(SchedulerTest, GroupsCountTheirUnfinishedMembers) {
  auto member = spec();
  member->group = "g";
  const JobId first = submit(member, 3);
  submit(spec());
  EXPECT_EQ(scheduler_->unfinished_in_group("g"), 3U);
  EXPECT_EQ(scheduler_->unfinished_in_group("h"), 0U);
  std::vector<JobId> seen;
  scheduler_->each_of_group("g", [&](const Job& job) {
    seen.push_back(job.id);
    return seen.size() < 2;
  });
  EXPECT_EQ(seen, (std::vector{first, first + 1}));
  out_.clear();
  const auto result = scheduler_->on_cancel_group("g", false, now_, out_);
  scheduler_->check();
  EXPECT_EQ(result.stopping, (std::vector{first}));
  EXPECT_EQ(result.cancelled, (std::vector{first + 1, first + 2}));
  EXPECT_EQ(facts(), "cancel cancel finish cancel finish");
  EXPECT_EQ(scheduler_->unfinished_in_group("g"), 1U);
  durable();
  ended(first, exited(0));
  EXPECT_EQ(scheduler_->unfinished_in_group("g"), 0U);
}

TEST_F(SchedulerTest, RecordsSayWhatIsKnown) {
  const JobId id = submit(spec(), 1, Lane::program);
  EXPECT_NE(record(id).find("\"phase\":\"starting\""), std::string::npos);
  started(id);
  EXPECT_EQ(published(EventKind::started).size(), 1U);
  out_.clear();
  scheduler_->on_progress(id, 1, 0.25, "a quarter", now_, out_);
  EXPECT_EQ(published(EventKind::progress).at(0).text, "a quarter");
  const std::string running = record(id);
  for (const char* part : {"\"state\":\"running\"", "\"phase\":\"running\"", "\"worker\":\"runner-1\"", "\"pid\":42",
                           "\"progress\":0.25", "\"started_at\":"}) {
    EXPECT_NE(running.find(part), std::string::npos) << part << " in " << running;
  }
  ended(id, exited(3));
  const std::string finished = published(EventKind::finished).at(0).finished->record;
  for (const char* part : {"\"state\":\"finished\"", "\"outcome\":\"failed\"", "\"exit_code\":3", "\"pid\":42", "\"seq\":1"}) {
    EXPECT_NE(finished.find(part), std::string::npos) << part << " in " << finished;
  }
  EXPECT_EQ(finished.find("progress"), std::string::npos);
  EXPECT_EQ(record(id), finished);
}

TEST_F(SchedulerTest, FewerSlotsKillNothing) {
  make(slots(2));
  const JobId first = submit(spec(), 3);
  out_.clear();
  scheduler_->on_slots(Lane::coroutine, 1, now_, out_);
  EXPECT_TRUE(out_.empty());
  ended(first, exited(0));
  EXPECT_TRUE(effects<Start>().empty());
  ended(first + 1, exited(0));
  EXPECT_EQ(effects<Start>().at(0).id, first + 2);
  submit(spec(), 2);
  out_.clear();
  scheduler_->on_slots(Lane::coroutine, 9, now_, out_);
  EXPECT_EQ(effects<Start>().size(), 2U);
  EXPECT_EQ(facts(), "start start");
  scheduler_->check();
}

TEST_F(SchedulerTest, WhatIsNotRunningIsNotEnded) {
  const JobId id = submit(spec(), 2);
  out_.clear();
  scheduler_->on_ended(id, 2, exited(0), now_, out_);
  scheduler_->on_ended(id + 1, 0, exited(0), now_, out_);
  scheduler_->on_ended(77, 1, exited(0), now_, out_);
  scheduler_->on_started(id, 2, now_, "", std::nullopt, out_);
  EXPECT_TRUE(out_.empty());
}

TEST_F(SchedulerTest, ForgettingIsAPersist) {
  EXPECT_EQ(scheduler_->on_forget({}, out_), 0U);
  EXPECT_TRUE(out_.empty());
  EXPECT_EQ(scheduler_->on_forget({4, 5}, out_), 1U);
  EXPECT_EQ(facts(), "forget");
}

TEST_F(SchedulerTest, NumbersGoOnFromTheConfiguration) {
  Config config = slots(1);
  config.first_id = 5'000;
  config.first_seq = 70;
  make(config);
  EXPECT_EQ(scheduler_->last_id(), 4'999U);
  const JobId id = submit(transient());
  EXPECT_EQ(id, 5'000U);
  ended(id, exited(0));
  EXPECT_EQ(scheduler_->last_seq(), 70U);
}

TEST_F(SchedulerTest, AMixedCallIsTheCallersDefect) {
  std::vector<Submission> jobs(2);
  jobs[0].spec = spec();
  jobs[1].spec = transient();
  EXPECT_THROW(scheduler_->on_submit(std::move(jobs), user_, std::nullopt, now_, out_), std::logic_error);
  EXPECT_TRUE(out_.empty());
  scheduler_->check();
}

TEST_F(SchedulerTest, VisitsAtMostTheLimit) {
  const JobId first = submit(spec(), 5);
  std::vector<JobId> seen;
  const auto visit = [&](const Job& job) {
    seen.push_back(job.id);
    return true;
  };
  scheduler_->each_after(first, 2, visit);
  EXPECT_EQ(seen, (std::vector{first + 1, first + 2}));
  scheduler_->each_after(first, 0, visit);
  EXPECT_EQ(seen.size(), 2U);
}

}  // namespace
}  // namespace stint::core
