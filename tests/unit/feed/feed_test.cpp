// Streams, waits and events against the real core and a store that answers when told.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "daemon/feed/feed.hpp"
#include "tests/unit/feed/house.hpp"

namespace stint::feed {
namespace {

using stint::fakes::House;
using Ids = std::vector<JobId>;

class Collector final : public Sink {
 public:
  void result(StreamId, const core::FinishedJob& job, const RecordPart&) override { ids.push_back(job.id); }
  void event(StreamId, std::string_view json) override { events.push_back(nlohmann::json::parse(json)); }
  void end(StreamId, StreamEnd why, const Error*) override { reason = why; }
  [[nodiscard]] bool full() const override { return ids.size() + events.size() >= room; }

  Ids ids;
  std::vector<nlohmann::json> events;
  std::optional<StreamEnd> reason;
  std::size_t room = SIZE_MAX;
};

class FeedTest : public ::testing::Test {
 protected:
  StreamId open(ResultsOptions options) {
    const StreamId id = house.feed.next_id();
    options.selection.uid = 1'000;
    house.feed.results(id, std::move(options), sink, [this](const std::optional<Error>& error) {
      opened = true;
      refused = error;
    });
    return id;
  }
  StreamId open_group(std::string group, Order order = Order::completion, Seq since = 0) {
    ResultsOptions options;
    options.selection.group = std::move(group);
    options.order = order;
    options.since = since;
    return open(std::move(options));
  }
  StreamId open_ids(Ids ids, Order order = Order::completion) {
    ResultsOptions options;
    options.selection.ids = std::move(ids);
    options.order = order;
    return open(std::move(options));
  }
  void wait(Selection selection, Until until = Until::all, std::optional<Duration> timeout = std::nullopt) {
    WaitOptions options{std::move(selection), until, timeout};
    house.feed.wait(house.feed.next_id(), std::move(options), [this](const std::optional<Error>& error, WaitResult result) {
      ++answers;
      refused = error;
      waited = std::move(result);
    });
  }
  [[nodiscard]] Ids waited_ids() const {
    Ids out;
    for (const auto& record : nlohmann::json::parse(waited.finished)) out.push_back(record["id"]);
    return out;
  }

  House house;
  Collector sink;
  bool opened = false;
  std::optional<Error> refused;
  int answers = 0;
  WaitResult waited;
};

TEST_F(FeedTest, GroupStreamHandsOverInTheOrderOfCompletionAndEnds) {
  const JobId a = house.submit("g");
  const JobId b = house.submit("g");
  house.finish(b);
  open_group("g");
  EXPECT_TRUE(opened);
  house.settle();
  EXPECT_EQ(sink.ids, Ids{b});
  EXPECT_FALSE(sink.reason);
  const JobId c = house.submit("g");
  house.finish(c);
  house.finish(a);
  EXPECT_EQ(sink.ids, (Ids{b, c, a}));
  EXPECT_EQ(sink.reason, StreamEnd::complete);
  EXPECT_EQ(house.feed.open_count(), 0U);
}

TEST_F(FeedTest, WhatIsPublishedWhileAPageIsReadComesOnceAndInOrder) {
  const JobId a = house.submit("g");
  const JobId b = house.submit("g");
  const JobId c = house.submit("g");
  house.finish(a);
  open_group("g");
  house.finish(c);  // the page was asked for before and does not hold it
  house.settle();
  house.finish(b);
  EXPECT_EQ(sink.ids, (Ids{a, c, b}));
  EXPECT_EQ(sink.reason, StreamEnd::complete);
}

TEST_F(FeedTest, GroupThatNeverHadAMemberIsNotFound) {
  open_group("nobody");
  house.settle();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->kind(), ErrorKind::not_found);
  EXPECT_EQ(refused->field, "group");
  EXPECT_EQ(house.feed.open_count(), 0U);
}

TEST_F(FeedTest, FinishedGroupStreamsItsPastAndEnds) {
  house.finish(house.submit("g"));
  const JobId second = house.submit("g");
  house.finish(second);
  open_group("g", Order::completion, 1);
  house.settle();
  EXPECT_EQ(sink.ids, Ids{second}) << "what is after `since`";
  EXPECT_EQ(sink.reason, StreamEnd::complete);
}

TEST_F(FeedTest, SubmissionOrderHoldsBackWhatOvertakes) {
  const JobId a = house.submit("g");
  const JobId b = house.submit("g");
  const JobId c = house.submit("g");
  house.finish(c);
  open_group("g", Order::submission);
  house.settle();
  EXPECT_TRUE(sink.ids.empty());
  house.finish(b);
  house.settle();
  EXPECT_TRUE(sink.ids.empty());
  house.finish(a);
  house.settle();
  EXPECT_EQ(sink.ids, (Ids{a, b, c}));
  EXPECT_EQ(sink.reason, StreamEnd::complete);
}

TEST_F(FeedTest, IdsInBothOrders) {
  const JobId a = house.submit();
  const JobId b = house.submit();
  const JobId c = house.submit();
  house.finish(c);
  open_ids({a, b, c, a});
  house.settle();
  house.finish(b);
  house.finish(a);
  EXPECT_EQ(sink.ids, (Ids{c, b, a}));
  EXPECT_EQ(sink.reason, StreamEnd::complete);
  sink = Collector();
  open_ids({c, b, a}, Order::submission);
  house.settle();
  EXPECT_EQ(sink.ids, (Ids{a, b, c}));
  EXPECT_EQ(sink.reason, StreamEnd::complete);
}

TEST_F(FeedTest, UnknownAndForgottenIdsAreNamed) {
  const JobId a = house.submit();
  open_ids({a, 99});
  house.settle();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->kind(), ErrorKind::not_found);
  EXPECT_EQ(refused->field, "ids[1]");
  house.finish(a);
  house.scheduler.on_forget({a}, house.effects);
  house.perform();
  open_ids({a});
  house.settle();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->kind(), ErrorKind::purged);
}

TEST_F(FeedTest, SlowReaderLosesNothingAndReadsOnFromTheStore) {
  Ids all;
  for (int i = 0; i < 600; ++i) all.push_back(house.submit("g"));
  open_group("g");
  house.settle();
  sink.room = 3;
  for (const JobId id : all) house.finish(id);
  EXPECT_EQ(sink.ids.size(), 3U);
  const int before = house.store.pages;
  for (sink.room = 100; !sink.reason; sink.room += 100) {
    house.feed.resume(1);
    house.settle();
    ASSERT_LE(sink.ids.size(), sink.room);
    ASSERT_LT(sink.room, 2'000U);
  }
  EXPECT_EQ(sink.ids, all);
  EXPECT_EQ(sink.reason, StreamEnd::complete);
  EXPECT_GT(house.store.pages, before);
}

TEST_F(FeedTest, SlowReaderInTheOrderOfSubmission) {
  Ids all;
  for (int i = 0; i < 600; ++i) all.push_back(house.submit("g"));
  open_group("g", Order::submission);
  house.settle();
  sink.room = 5;
  for (auto id = all.rbegin(); id != all.rend(); ++id) house.finish(*id);
  for (; !sink.reason; sink.room += 100) {
    house.feed.resume(1);
    house.settle();
    ASSERT_LT(sink.room, 2'000U);
  }
  EXPECT_EQ(sink.ids, all);
}

TEST_F(FeedTest, NothingIsHandedOverBeforeItIsDurable) {
  house.auto_commit = false;
  const JobId a = house.submit("g", true);
  house.commit();
  house.finish(a);
  open_group("g");
  house.settle();
  EXPECT_TRUE(sink.ids.empty()) << "stored, but not on disk";
  EXPECT_FALSE(sink.reason);
  house.commit();
  EXPECT_EQ(sink.ids, Ids{a});
  EXPECT_EQ(sink.reason, StreamEnd::complete);
}

TEST_F(FeedTest, StreamOfEverythingDoesNotEndAndCanBeCancelled) {
  house.finish(house.submit());
  const StreamId id = open({});
  house.settle();
  house.finish(house.submit());
  EXPECT_EQ(sink.ids, (Ids{1, 2}));
  EXPECT_FALSE(sink.reason);
  EXPECT_TRUE(house.feed.cancel(id));
  EXPECT_EQ(sink.reason, StreamEnd::cancelled);
  EXPECT_FALSE(house.feed.cancel(id));
}

TEST_F(FeedTest, StreamOfEverythingInTheOrderOfSubmission) {
  const JobId a = house.submit();
  const JobId b = house.submit();
  ResultsOptions options;
  options.order = Order::submission;
  open(std::move(options));
  house.settle();
  house.finish(b);
  const JobId c = house.submit();
  house.finish(c);
  EXPECT_TRUE(sink.ids.empty());
  house.finish(a);
  house.settle();
  EXPECT_EQ(sink.ids, (Ids{a, b, c}));
  EXPECT_FALSE(sink.reason);
}

TEST_F(FeedTest, TimeoutEndsAStreamButShowsWhatIsThereFirst) {
  const JobId a = house.submit("g");
  house.submit("g");
  house.finish(a);
  ResultsOptions options;
  options.selection.group = "g";
  options.timeout = Duration{0};
  open(std::move(options));
  house.timers.advance(Duration{1});
  EXPECT_FALSE(sink.reason);
  house.settle();
  EXPECT_EQ(sink.ids, Ids{a});
  EXPECT_EQ(sink.reason, StreamEnd::timed_out);
}

TEST_F(FeedTest, DroppedStreamIsSilent) {
  const JobId a = house.submit("g");
  house.feed.drop(open_group("g"));
  house.finish(a);
  house.settle();
  EXPECT_TRUE(sink.ids.empty());
  EXPECT_FALSE(sink.reason);
}

TEST_F(FeedTest, CloseEndsEverythingAsDraining) {
  const JobId a = house.submit("g");
  open_group("g");
  wait({Ids{a}, {}, 0});
  house.settle();
  house.feed.close();
  EXPECT_EQ(sink.reason, StreamEnd::draining);
  EXPECT_EQ(answers, 1);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->kind(), ErrorKind::draining);
  EXPECT_EQ(house.feed.open_count(), 0U);
  open_group("g");
  ASSERT_TRUE(refused);
}

TEST_F(FeedTest, WaitForAll) {
  const JobId a = house.submit();
  const JobId b = house.submit();
  house.finish(b);
  wait({Ids{a, b}, {}, 0});
  house.settle();
  EXPECT_EQ(answers, 0);
  house.finish(a);
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(waited_ids(), (Ids{b, a})) << "in the order of seq";
  EXPECT_TRUE(waited.pending.empty());
}

TEST_F(FeedTest, WaitForTheFirstTellsAllThatHaveFinished) {
  const JobId a = house.submit();
  const JobId b = house.submit();
  const JobId c = house.submit();
  house.finish(a);
  house.finish(c);
  wait({Ids{a, b, c}, {}, 0}, Until::first);
  house.settle();
  EXPECT_EQ(waited_ids(), (Ids{a, c}));
  EXPECT_EQ(waited.pending, Ids{b});
}

TEST_F(FeedTest, WaitForTheFirstFailure) {
  Ids ids;
  for (int i = 0; i < 4; ++i) ids.push_back(house.submit("g"));
  wait({{}, "g", 0}, Until::first_failure);
  house.settle();
  house.finish(ids[1]);
  EXPECT_EQ(answers, 0);
  house.finish(ids[2], false);
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(waited_ids(), (Ids{ids[1], ids[2]}));
  EXPECT_EQ(waited.pending, (Ids{ids[0], ids[3]}));
}

TEST_F(FeedTest, WaitThatTimesOutTellsWhoIsPending) {
  const JobId a = house.submit();
  const JobId b = house.submit();
  wait({Ids{a, b}, {}, 0}, Until::all, std::chrono::seconds(5));
  house.settle();
  house.finish(a);
  house.timers.advance(std::chrono::seconds(4));
  EXPECT_EQ(answers, 0);
  house.timers.advance(std::chrono::seconds(1));
  EXPECT_EQ(answers, 1);
  EXPECT_FALSE(refused);
  EXPECT_EQ(waited_ids(), Ids{a});
  EXPECT_EQ(waited.pending, Ids{b});
}

TEST_F(FeedTest, JobWaitIsAnsweredOnceWithTheJobATimeoutOrAnError) {
  int calls = 0;
  bool had_job = false;
  bool had_error = false;
  std::optional<std::string> reason;
  const auto note = [&](const core::FinishedPtr& job, const Error* error) {
    ++calls;
    had_job = job != nullptr;
    had_error = error != nullptr;
    if (error != nullptr) reason = error->reason;
  };
  const JobId a = house.submit();
  house.feed.wait_job(house.feed.next_id(), a, std::nullopt, note);
  house.finish(a);
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(had_job);
  const JobId b = house.submit();
  house.feed.wait_job(house.feed.next_id(), b, std::chrono::seconds(1), note);
  house.timers.advance(std::chrono::seconds(1));
  EXPECT_EQ(calls, 2);
  EXPECT_FALSE(had_job || had_error);
  house.feed.wait_job(house.feed.next_id(), b, std::nullopt, note);
  house.feed.vanished(b, 1, unavailable("no room", "full"));
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(reason, "full") << "it says why";
}

TEST_F(FeedTest, EventsAreNumberedFilteredAndReplayed) {
  const JobId a = house.submit("g");
  const StreamId id = house.feed.next_id();
  house.feed.subscribe(id, {.kinds = {core::EventKind::finished}, .group = "g", .since = 0}, sink);
  house.settle();
  EXPECT_TRUE(sink.events.empty());
  house.finish(house.submit("other"));
  house.finish(a);
  ASSERT_EQ(sink.events.size(), 1U);
  EXPECT_EQ(sink.events[0]["kind"], "job.finished");
  EXPECT_EQ(sink.events[0]["id"], a);
  EXPECT_EQ(sink.events[0]["outcome"], "succeeded");
  EXPECT_EQ(sink.events[0]["number"], house.feed.newest_event());

  Collector second;
  house.feed.subscribe(house.feed.next_id(), {.kinds = {}, .group = {}, .since = 0}, second);
  house.settle();
  ASSERT_EQ(second.events.size(), house.feed.newest_event());
  for (std::size_t i = 0; i < second.events.size(); ++i) EXPECT_EQ(second.events[i]["number"], i + 1);
}

TEST_F(FeedTest, WhoLagsIsToldHowManyEventsHeMissed) {
  sink.room = 0;
  const StreamId id = house.feed.next_id();
  house.feed.subscribe(id, {}, sink);
  house.settle();
  for (int i = 0; i < 5'000; ++i) house.finish(house.submit());
  EXPECT_TRUE(sink.events.empty());
  sink.room = SIZE_MAX;
  house.feed.resume(id);
  ASSERT_FALSE(sink.events.empty());
  EXPECT_EQ(sink.events[0]["kind"], "gap");
  const std::uint64_t missed = sink.events[0]["missed"];
  EXPECT_EQ(missed + sink.events.size() - 1, house.feed.newest_event());
  EXPECT_EQ(sink.events[1]["number"], missed + 1);
}

TEST(RecordTest, OutputIsSplicedIntoItsObjects) {
  core::FinishedJob job;
  // Arguments may look like the real thing; the last one is it.
  job.record =
      R"({"id":1,"args":{"stdout":{"bytes":1,"truncated":false}},"stdout":{"bytes":3,"truncated":false},"stderr":{"bytes":1,"truncated":false}})";
  job.end.stdout_content = OutputContent{{3, false}, "a\"b", false};
  job.end.stderr_content = OutputContent{{1, false}, "\xff", false};
  std::string out;
  append_record(out, job, {true, {}});
  const auto record = nlohmann::json::parse(out);
  EXPECT_EQ(record["args"]["stdout"].size(), 2U);
  EXPECT_EQ(record["stdout"]["data"], "a\"b");
  EXPECT_EQ(record["stdout"]["encoding"], "utf8");
  EXPECT_EQ(record["stderr"]["data"], "/w==");
  EXPECT_EQ(record["stderr"]["encoding"], "base64");
  out.clear();
  append_record(out, job, {});
  EXPECT_EQ(out, job.record);
}

TEST(RecordTest, SomeFieldsOfARecord) {
  core::FinishedJob job;
  job.record =
      R"({"id":1,"seq":7,"name":"a\\\"},{\"seq\":2","args":{"result":[1,{"x":"]}"}]},"tags":[],"stdout":{"bytes":3,"truncated":false},"result":{"a":[]}})";
  const auto part = [&job](bool output, std::vector<std::string> fields) {
    std::string out;
    append_record(out, job, {output, std::move(fields)});
    return out;
  };
  EXPECT_EQ(part(false, {}), R"({"id":1,"seq":7})");
  EXPECT_EQ(part(false, {"result"}), R"({"id":1,"seq":7,"result":{"a":[]}})");
  EXPECT_EQ(part(false, {"tags", "name"}), R"({"id":1,"seq":7,"name":"a\\\"},{\"seq\":2","tags":[]})");
  EXPECT_EQ(part(false, {"args", "error"}), R"({"id":1,"seq":7,"args":{"result":[1,{"x":"]}"}]}})");
  job.end.stdout_content = OutputContent{{3, false}, "abc", false};
  EXPECT_EQ(part(true, {"stdout"}), R"({"id":1,"seq":7,"stdout":{"bytes":3,"truncated":false,"data":"abc","encoding":"utf8"}})");
  EXPECT_EQ(part(true, {}), R"({"id":1,"seq":7})");
}

}  // namespace
}  // namespace stint::feed
