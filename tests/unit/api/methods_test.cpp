// Each method through the dispatcher, against the real core and feed.
#include <gtest/gtest.h>

#include "tests/unit/api/fake_backend.hpp"

namespace stint::api {
namespace {

using fakes::FakeBackend;
using fakes::Peer;
using nlohmann::json;

struct MethodsTest : ::testing::Test {
  std::string kind_of(const std::string& method, const json& params) {
    const auto answer = peer.call(method, params);
    return answer.contains("error") ? answer["error"]["data"]["kind"].get<std::string>() : "none";
  }

  FakeBackend backend;
  Peer peer{backend};
};

TEST_F(MethodsTest, SubmitIsAnsweredWhenItIsOnDisk) {
  backend.house.auto_commit = false;
  EXPECT_TRUE(peer.call("job.submit", {{"job", {{"task", "echo"}}}}).is_null());
  backend.commit();
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["result"]["id"], 1);
  EXPECT_EQ(lines[0]["result"]["duplicate"], false);
  EXPECT_EQ(peer.call("job.submit", {{"job", {{"task", "echo"}, {"durable", false}}}})["result"]["id"], 2) << "at once";
}

// Whoever asks about other jobs has nothing to do with what others cannot submit.
TEST_F(MethodsTest, ReadsAreAnsweredWhateverIsRefusedMeanwhile) {
  const JobId there = backend.house.submit(std::nullopt, true);
  const std::vector<std::pair<std::string, json>> reads{
      {"job.get", {{"id", there}}},  {"job.why", {{"id", there}}},     {"job.spec", {{"id", there}}},
      {"job.list", json::object()},  {"lock.list", json::object()},    {"event.list", json::object()},
      {"pool.list", json::object()}, {"channel.list", json::object()}, {"semaphore.list", json::object()}};
  backend.house.auto_commit = false;
  for (const auto& [method, params] : reads) {
    const JobId gone = backend.scheduler().last_id() + 1;
    EXPECT_TRUE(peer.call("job.submit", {{"job", {{"task", "echo"}}}}).is_null());
    EXPECT_TRUE(peer.call(method, params).is_null()) << method << " is told when it is certain";
    EXPECT_TRUE(peer.call("job.get", {{"id", gone}}).is_null());
    backend.refuse();
    const auto lines = peer.hear();
    ASSERT_EQ(lines.size(), 3U) << method;
    EXPECT_EQ(lines[0]["error"]["data"]["kind"], "unavailable");
    ASSERT_TRUE(lines[1].contains("result")) << method << lines[1];
    if (method == "job.list") {
      EXPECT_EQ(lines[1]["result"]["jobs"].size(), 1U) << "the one that never was is not listed";
    }
    EXPECT_EQ(lines[2]["error"]["data"]["kind"], "not_found");
  }
}

TEST_F(MethodsTest, WhoWaitsForAnEventWaitsOnWhereItsSetIsRefused) {
  backend.house.auto_commit = false;
  EXPECT_TRUE(peer.call("event.wait", {{"name", "go"}}).is_null());
  EXPECT_TRUE(peer.call("event.set", {{"name", "go"}}).is_null());
  backend.refuse();
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["error"]["data"]["kind"], "unavailable") << "that of the set";
  EXPECT_TRUE(peer.call("event.set", {{"name", "go"}}).is_null());
  backend.commit();
  EXPECT_EQ(peer.hear().size(), 2U);
}

TEST_F(MethodsTest, WhatIsNewIsRefusedAndNeverWas) {
  backend.house.auto_commit = false;
  EXPECT_TRUE(peer.call("channel.open", {{"name", "c"}, {"capacity", 1}, {"durable", true}}).is_null());
  EXPECT_TRUE(peer.call("channel.get", {{"name", "c"}}).is_null());
  backend.refuse();
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["error"]["data"]["kind"], "not_found") << "who waits there is told";
  EXPECT_EQ(lines[1]["error"]["data"]["kind"], "unavailable");
  EXPECT_EQ(kind_of("channel.get", {{"name", "c"}}), "not_found");
}

TEST_F(MethodsTest, SubmitManyBothForms) {
  auto answer = peer.call("job.submit_many", {{"template", {{"command", {"echo", "{}"}}}}, {"items", {"a", 2}}});
  EXPECT_EQ(answer["result"]["first"], 1);
  EXPECT_EQ(answer["result"]["count"], 2);
  const std::string group = answer["result"]["group"];
  EXPECT_FALSE(group.empty());
  EXPECT_EQ(backend.scheduler().unfinished_in_group(group), 2U);
  EXPECT_EQ(peer.call("job.get", {{"id", 2}})["result"]["command"], json({"echo", "2"}));
  answer = peer.call("job.submit_many", {{"jobs", {{{"task", "echo"}}, {{"task", "echo"}, {"group", "g"}}}}, {"group", "g"}});
  EXPECT_EQ(answer["result"]["group"], "g");
  EXPECT_EQ(answer["result"]["first"], 3);
}

TEST_F(MethodsTest, SubmitManyWithoutAGroupLeavesTheJobsTheirOwn) {
  auto answer =
      peer.call("job.submit_many", {{"jobs", {{{"task", "echo"}, {"group", "g"}}, {{"task", "echo"}, {"group", "g"}}}}});
  EXPECT_EQ(answer["result"]["group"], "g");
  answer = peer.call("job.submit_many", {{"jobs", {{{"task", "echo"}, {"group", "h"}}, {{"task", "echo"}}}}});
  const std::string made_up = answer["result"]["group"];
  EXPECT_NE(made_up, "h");
  EXPECT_EQ(peer.call("job.get", {{"id", 3}})["result"]["group"], "h");
  EXPECT_EQ(peer.call("job.get", {{"id", 4}})["result"]["group"], made_up);
}

TEST_F(MethodsTest, SubmitManyRefusesWhatDisagrees) {
  auto answer = peer.call("job.submit_many", {{"jobs", {{{"task", "echo"}, {"group", "other"}}}}, {"group", "g"}});
  EXPECT_EQ(answer["error"]["data"]["field"], "jobs[0].group");
  answer = peer.call("job.submit_many", {{"jobs", {{{"task", "echo"}}, {{"task", "echo"}, {"durable", false}}}}});
  EXPECT_EQ(answer["error"]["data"]["field"], "jobs[1].durable");
  EXPECT_EQ(backend.scheduler().last_id(), 0U);
}

TEST_F(MethodsTest, RunAnswersTheRecordEvenWhereTheJobEndsInsideTheSubmit) {
  backend.finish_at_once = true;
  const auto answer = peer.call("job.run", {{"job", {{"task", "echo"}, {"durable", false}}}});
  EXPECT_EQ(answer["result"]["outcome"], "succeeded");
  EXPECT_EQ(backend.feed().open_count(), 0U);
}

TEST_F(MethodsTest, RunThatTimesOutTellsTheRecordOfTheUnfinishedJob) {
  EXPECT_TRUE(peer.call("job.run", {{"job", {{"task", "echo"}}}, {"timeout", 2}}).is_null());
  backend.house.timers.advance(std::chrono::seconds(2));
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["result"]["id"], 1);
  EXPECT_EQ(lines[0]["result"]["state"], "running");
}

TEST_F(MethodsTest, GetFindsAJobWhereverItIs) {
  const JobId id = backend.house.submit();
  EXPECT_EQ(peer.call("job.get", {{"id", id}})["result"]["state"], "running");
  backend.house.finish(id);
  EXPECT_EQ(peer.call("job.get", {{"id", id}})["result"]["state"], "finished");
  EXPECT_EQ(kind_of("job.get", {{"id", 77}}), "not_found");
  EXPECT_EQ(peer.call("job.forget", {{"ids", {id}}})["result"]["forgotten"], 1);
  EXPECT_EQ(kind_of("job.get", {{"id", id}}), "purged");
}

TEST_F(MethodsTest, FinishedRecordIsAnsweredOnlyWhenItIsOnDisk) {
  backend.house.auto_commit = false;
  const JobId id = backend.house.submit(std::nullopt, true);
  backend.commit();
  backend.house.finish(id);
  EXPECT_TRUE(peer.call("job.get", {{"id", id}}).is_null());
  backend.commit();
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["result"]["outcome"], "succeeded");
}

TEST_F(MethodsTest, SpecIsForWhoSubmitted) {
  peer.call("job.submit", {{"job", {{"task", "echo"}, {"args", std::string(5'000, 'a')}, {"env", {{"A", "1"}}}}}});
  const auto record = peer.call("job.get", {{"id", 1}})["result"];
  EXPECT_FALSE(record.contains("args"));
  const auto spec = peer.call("job.spec", {{"id", 1}})["result"];
  EXPECT_EQ(spec["args"].get<std::string>().size(), 5'000U);
  EXPECT_EQ(spec["env"]["A"], "1");
  Peer other(backend, 0);
  EXPECT_EQ(other.call("job.spec", {{"id", 1}})["error"]["data"]["kind"], "permission_denied");
}

TEST_F(MethodsTest, ListMergesWhatIsHereAndWhatIsStored) {
  for (int i = 0; i < 5; ++i) backend.house.submit("g");
  backend.house.finish(2);
  backend.house.finish(4, false);
  const auto ids = [](const json& answer) {
    std::vector<JobId> out;
    for (const auto& job : answer["result"]["jobs"]) out.push_back(job["id"]);
    return out;
  };
  EXPECT_EQ(ids(peer.call("job.list")), (std::vector<JobId>{1, 2, 3, 4, 5}));
  EXPECT_EQ(ids(peer.call("job.list", {{"state", "finished"}})), (std::vector<JobId>{2, 4}));
  EXPECT_EQ(ids(peer.call("job.list", {{"state", "running"}})), (std::vector<JobId>{1, 3, 5}));
  EXPECT_EQ(ids(peer.call("job.list", {{"outcome", "failed"}})), (std::vector<JobId>{4}));
  EXPECT_TRUE(ids(peer.call("job.list", {{"group", "other"}})).empty());
  std::vector<JobId> paged;
  json params{{"limit", 2}};
  for (;;) {
    const auto page = peer.call("job.list", params);
    for (const JobId id : ids(page)) paged.push_back(id);
    if (!page["result"].contains("next")) break;
    params["since_id"] = page["result"]["next"];
    ASSERT_LT(paged.size(), 10U);
  }
  EXPECT_EQ(paged, (std::vector<JobId>{1, 2, 3, 4, 5}));
}

TEST_F(MethodsTest, ListTellsAJobOnceThatIsHereAndStored) {
  backend.house.auto_commit = false;
  const JobId id = backend.house.submit(std::nullopt, true);
  backend.commit();
  backend.house.finish(id);
  EXPECT_TRUE(peer.call("job.list").is_null());
  backend.commit();
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  ASSERT_EQ(lines[0]["result"]["jobs"].size(), 1U);
  EXPECT_EQ(lines[0]["result"]["jobs"][0]["state"], "finished");
}

TEST_F(MethodsTest, CancelTellsWhatBecameOfEach) {
  for (int i = 0; i < 2; ++i) backend.house.submit("g");
  backend.house.finish(2);
  auto answer = peer.call("job.cancel", {{"ids", {1, 2}}});
  EXPECT_EQ(answer["result"]["stopping"], json({1}));
  EXPECT_EQ(answer["result"]["already_finished"], json({2}));
  answer = peer.call("job.cancel", {{"ids", {1, 50}}});
  EXPECT_EQ(answer["error"]["data"]["kind"], "not_found");
  EXPECT_EQ(answer["error"]["data"]["field"], "ids[1]");
  EXPECT_EQ(kind_of("job.cancel", {{"group", "nobody"}}), "not_found");
  Peer stranger(backend, 7);
  EXPECT_EQ(stranger.call("job.cancel", {{"group", "g"}})["error"]["data"]["kind"], "permission_denied");
  EXPECT_EQ(stranger.call("job.cancel", {{"ids", {1}}})["error"]["data"]["kind"], "permission_denied");
}

TEST_F(MethodsTest, CancelLeavesAloneWhatRuns) {
  for (int i = 0; i < 1'002; ++i) backend.house.submit("g");  // a thousand of them run
  auto answer = peer.call("job.cancel", {{"ids", {1, 1'001}}, {"running", false}})["result"];
  EXPECT_EQ(answer["cancelled"], json({1'001}));
  EXPECT_EQ(answer["stopping"], json::array());
  answer = peer.call("job.cancel", {{"group", "g"}, {"running", false}})["result"];
  EXPECT_EQ(answer["cancelled"], json({1'002}));
  EXPECT_EQ(answer["stopping"], json::array());
  EXPECT_EQ(peer.call("job.cancel", {{"ids", {1, 5'000}}, {"running", false}})["error"]["data"]["field"], "ids[1]");
  EXPECT_EQ(peer.call("job.cancel", {{"group", "g"}})["result"]["stopping"].size(), 1'000U);
}

TEST_F(MethodsTest, ForgetRefusesWhatHasNotFinished) {
  backend.house.submit("g");
  EXPECT_EQ(kind_of("job.forget", {{"ids", {1}}}), "conflict");
  EXPECT_EQ(kind_of("job.forget", {{"ids", {9}}}), "not_found");
  backend.house.finish(1);
  EXPECT_EQ(peer.call("job.forget", {{"group", "g"}})["result"]["forgotten"], 1);
  EXPECT_EQ(kind_of("job.forget", {{"group", "nobody"}}), "not_found");
}

TEST_F(MethodsTest, OutputIsNeverCutInsideACharacter) {
  backend.house.submit();
  backend.output = "ab\u00e4";
  auto answer = peer.call("job.output", {{"id", 1}, {"limit", 3}})["result"];
  EXPECT_EQ(answer["data"], "ab");
  EXPECT_EQ(answer["next"], 2);
  EXPECT_EQ(answer["end"], false);
  answer = peer.call("job.output", {{"id", 1}, {"offset", 2}})["result"];
  EXPECT_EQ(answer["data"], "\u00e4");
  EXPECT_EQ(answer["end"], true);
  answer = peer.call("job.output", {{"id", 1}, {"offset", 2}, {"limit", 1}})["result"];
  EXPECT_EQ(answer["encoding"], "base64") << "one byte of two goes on all the same";
  backend.output = "\xff";
  EXPECT_EQ(peer.call("job.output", {{"id", 1}})["result"]["encoding"], "base64");
}

TEST_F(MethodsTest, FollowedOutputIsAChainOfQuestions) {
  backend.house.submit();
  const auto opened = peer.call("job.output", {{"id", 1}, {"follow", true}});
  ASSERT_TRUE(opened["result"].contains("stream"));
  const auto answer = [this](std::string bytes, bool end) {
    ASSERT_EQ(backend.questions.size(), 1U);
    auto [question, done] = std::move(backend.questions.front());
    backend.questions.clear();
    OutputPiece piece{std::move(bytes), question.offset, 0, end};
    piece.next = piece.offset + piece.bytes.size();
    done(std::nullopt, std::move(piece));
  };
  answer("one\xc3", false);
  auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["params"]["item"]["data"], "one");
  EXPECT_EQ(lines[0]["params"]["item"]["next"], 3);
  answer("\xa4", false);
  lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["params"]["item"]["data"], "\u00e4");
  EXPECT_EQ(lines[0]["params"]["item"]["offset"], 3);
  answer("", true);
  lines = peer.hear();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["params"]["item"]["end"], true);
  EXPECT_EQ(lines[1]["params"]["reason"], "complete");
}

TEST_F(MethodsTest, InputBoundsAndEncodings) {
  backend.house.submit();
  peer.call("job.input", {{"id", 1}, {"data", "text"}});
  peer.call("job.input", {{"id", 1}, {"data", "/w=="}, {"encoding", "base64"}});
  EXPECT_EQ(backend.input, "text\xff");
  EXPECT_EQ(kind_of("job.input", {{"id", 1}, {"data", "/w="}, {"encoding", "base64"}}), "invalid_params");
  EXPECT_EQ(kind_of("job.input", {{"id", 1}, {"data", std::string(limits::input_chunk_bytes_max, 'x')}}), "none");
  EXPECT_EQ(kind_of("job.input", {{"id", 1}, {"data", std::string(limits::input_chunk_bytes_max + 1, 'x')}}), "limit_exceeded");
}

TEST_F(MethodsTest, SignalTakesNamesAndNumbers) {
  backend.house.submit();
  peer.call("job.signal", {{"id", 1}, {"signal", "SIGTERM"}});
  EXPECT_EQ(backend.signalled, 15);
  EXPECT_EQ(kind_of("job.signal", {{"id", 1}, {"signal", "NOPE"}}), "invalid_params");
}

TEST_F(MethodsTest, WhyIsEmptyForWhatRuns) {
  backend.house.submit();
  auto answer = peer.call("job.why", {{"id", 1}})["result"];
  EXPECT_EQ(answer["state"], "running");
  EXPECT_TRUE(answer["reasons"].empty());
}

TEST_F(MethodsTest, SubscribeKnowsItsKinds) {
  const auto answer = peer.call("feed.subscribe", {{"kinds", {"job.finishd"}}});
  EXPECT_EQ(answer["error"]["data"]["field"], "kinds[0]");
  EXPECT_EQ(answer["error"]["data"]["nearest"], "job.finished");
  const auto opened = peer.call("feed.subscribe", {{"kinds", {"job.finished"}}});
  const std::uint64_t stream = opened["result"]["stream"];
  backend.house.finish(backend.house.submit());
  EXPECT_EQ(peer.hear().size(), 1U);
  peer.say(json{{"jsonrpc", "2.0"}, {"id", 2}, {"method", "stream.cancel"}, {"params", {{"stream", stream}}}}.dump());
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["params"]["reason"], "cancelled");
  EXPECT_EQ(kind_of("stream.cancel", {{"stream", stream}}), "not_found");
}

TEST_F(MethodsTest, ShutdownIsAnsweredFirst) {
  EXPECT_TRUE(peer.call("daemon.shutdown").contains("result"));
  EXPECT_EQ(backend.shut_down, ShutdownMode::detach) << "the default";
  EXPECT_TRUE(peer.call("daemon.shutdown", {{"jobs", "cancel"}}).contains("result"));
  EXPECT_EQ(backend.shut_down, ShutdownMode::cancel);
}

TEST_F(MethodsTest, InfoTellsBoundsAndCapabilities) {
  const auto info = peer.call("daemon.info")["result"];
  EXPECT_EQ(info["protocol"], 1);
  EXPECT_EQ(info["bounds"]["line_bytes_max"], limits::line_bytes_max);
  EXPECT_EQ(info["capabilities"].size(), method_table().size());
}

}  // namespace
}  // namespace stint::api
