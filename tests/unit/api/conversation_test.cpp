// The conversation without a socket: framing, order, back-pressure, half-close, bounds.
#include <gtest/gtest.h>

#include "tests/unit/api/fake_backend.hpp"

namespace stint::api {
namespace {

using fakes::FakeBackend;
using fakes::Peer;
using nlohmann::json;

std::string request(int id, const std::string& method, const json& params = json::object()) {
  return json{{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}}.dump();
}

struct ConversationTest : ::testing::Test {
  FakeBackend backend;
  Peer peer{backend};
};

TEST_F(ConversationTest, OneByteAtATimeAndTwoInOnePacket) {
  const std::string line = request(1, "task.list") + "\r\n\r\n\n";
  for (const char c : line) peer.bytes(std::string_view(&c, 1));
  EXPECT_EQ(peer.hear().size(), 1U);
  peer.bytes(request(2, "task.list") + "\n" + request(3, "task.list") + "\n");
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["id"], 2);
  EXPECT_EQ(lines[1]["id"], 3);
}

TEST_F(ConversationTest, HalfCloseAnswersWhatIsPendingAndThenCloses) {
  const json job{{"task", "echo"}, {"durable", false}};
  peer.say(request(1, "job.run", {{"job", job}}));
  peer.bytes(request(2, "task.list"));  // no line end: the last line may lack it
  peer.conversation->ended();
  EXPECT_EQ(peer.hear().size(), 1U);
  EXPECT_FALSE(peer.conversation->wants().close);
  EXPECT_TRUE(peer.conversation->wants().watch);
  EXPECT_FALSE(peer.conversation->wants().read);
  backend.house.finish(1);
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["result"]["outcome"], "succeeded");
  EXPECT_TRUE(peer.conversation->wants().close);
}

TEST_F(ConversationTest, HalfCloseLetsStreamsRunToTheirEnd) {
  const JobId id = backend.house.submit("g");
  peer.say(request(1, "job.results", {{"group", "g"}}));
  peer.conversation->ended();
  EXPECT_EQ(peer.hear().size(), 1U);
  EXPECT_FALSE(peer.conversation->wants().close);
  backend.house.finish(id);
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["method"], "stream.item");
  EXPECT_EQ(lines[1]["params"]["reason"], "complete");
  EXPECT_TRUE(peer.conversation->wants().close);
}

TEST_F(ConversationTest, WhatAPeerWaitedForEndsWhenItIsGone) {
  backend.house.submit("g");
  peer.say(request(1, "job.results", {{"group", "g"}}));
  peer.say(request(2, "job.wait", {{"group", "g"}}));
  peer.say(request(3, "job.run", {{"job", {{"task", "echo"}, {"durable", false}}}}));
  peer.hear();
  EXPECT_GE(backend.feed().open_count(), 3U);
  peer.conversation->gone();
  EXPECT_EQ(backend.feed().open_count(), 0U);
  EXPECT_TRUE(peer.conversation->wants().close);
  backend.house.finish(1);
  backend.house.finish(2);
}

TEST_F(ConversationTest, ReadingPausesAtTheBoundOfPendingCallsAndGoesOn) {
  backend.house.auto_commit = false;
  std::string flood;
  const int count = static_cast<int>(limits::pending_requests_max) + 10;
  for (int i = 0; i < count; ++i) flood += request(i, "job.submit", {{"job", {{"task", "echo"}}}}) + "\n";
  peer.bytes(flood);
  EXPECT_EQ(backend.scheduler().last_id(), limits::pending_requests_max);
  EXPECT_FALSE(peer.conversation->wants().read);
  backend.commit();
  EXPECT_EQ(peer.hear().size(), limits::pending_requests_max);
  EXPECT_TRUE(peer.conversation->wants().read);
  backend.commit();
  EXPECT_EQ(peer.hear().size(), 10U);
}

TEST_F(ConversationTest, WaitingCallsDoNotStopTheReadingButAreBounded) {
  const int most = static_cast<int>(limits::waiting_requests_max);
  backend.house.submit("g");
  for (int i = 0; i < most; ++i) peer.say(request(i, "job.wait", {{"group", "g"}}));
  EXPECT_TRUE(peer.hear().empty());
  peer.say(request(most, "job.wait", {{"group", "g"}}));
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["id"], most);
  EXPECT_EQ(lines[0]["error"]["data"]["limit"], "waiting_requests_max");
  EXPECT_TRUE(peer.conversation->wants().read);
  backend.house.finish(1);
  EXPECT_EQ(peer.hear().size(), limits::waiting_requests_max);
}

TEST_F(ConversationTest, LineAtTheBoundIsReadAndOnePastItCloses) {
  const std::string head = R"({"jsonrpc":"2.0","id":1,"method":"task.list","params":{},"pad":")";
  peer.say(head + std::string(limits::line_bytes_max - head.size() - 2, 'x') + "\"}");
  auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["error"]["data"]["kind"], "invalid_request") << "read, and refused for its unknown member only";
  EXPECT_FALSE(peer.conversation->wants().close);
  peer.bytes(std::string(limits::line_bytes_max + 1, 'x'));
  lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["error"]["data"]["limit"], "line_bytes_max");
  EXPECT_TRUE(peer.conversation->wants().close);
}

TEST_F(ConversationTest, BytesThatAreNotUtf8CloseTheConnection) {
  peer.say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}");
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["id"], nullptr);
  EXPECT_EQ(lines[0]["error"]["data"]["kind"], "parse_error");
  EXPECT_TRUE(peer.conversation->wants().close);
}

TEST_F(ConversationTest, LongLineIsDecodedElsewhereAndLaterOnesWaitForIt) {
  const std::string args(limits::inline_decode_bytes_max, 'x');
  peer.bytes(request(1, "job.submit", {{"job", {{"task", "echo"}, {"args", args}, {"group", "g"}, {"durable", false}}}}) + "\n" +
             request(2, "job.results", {{"group", "g"}}) + "\n");
  EXPECT_EQ(backend.scheduler().last_id(), 0U);
  EXPECT_FALSE(peer.conversation->wants().read);
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["result"]["id"], 1);
  EXPECT_TRUE(lines[1]["result"].contains("stream")) << "the group was known when the stream was opened";
}

TEST_F(ConversationTest, StreamsPauseAboveTheMarkAndLoseNothing) {
  const std::string args(3'000, 'x');
  JobSpec spec;
  spec.task = "echo";
  spec.args = stint::json::Raw{"\"" + args + "\""};
  spec.group = "g";
  spec.durable = false;
  std::vector<JobId> ids;
  for (int i = 0; i < 900; ++i) ids.push_back(backend.house.submit(spec, backend.house.me));
  peer.say(request(1, "job.results", {{"group", "g"}}));
  peer.hear();
  for (const JobId id : ids) backend.house.finish(id);
  EXPECT_TRUE(peer.conversation->full());
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), ids.size() + 1);
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(lines[i]["params"]["item"]["id"], ids[i]);
  EXPECT_EQ(lines.back()["params"]["reason"], "complete");
}

TEST_F(ConversationTest, FinishSendsWhatIsAnsweredAndReadsNoMore) {
  peer.say(request(1, "task.list"));
  peer.conversation->finish();
  peer.say(request(2, "task.list"));
  EXPECT_FALSE(peer.conversation->wants().close);
  EXPECT_EQ(peer.hear().size(), 1U);
  EXPECT_TRUE(peer.conversation->wants().close);
}

TEST(OutboxTest, KnowsWhetherAnAnswerIsUnsent) {
  Outbox box;
  box.text() += "answer\n";
  box.mark_answer();
  box.text() += "item\n";
  EXPECT_TRUE(box.answer_unsent());
  EXPECT_EQ(box.next(), "answer\nitem\n");
  box.sent(7);
  EXPECT_FALSE(box.answer_unsent());
  EXPECT_EQ(box.unsent(), 5U);
  box.text() += "second\n";
  box.mark_answer();
  EXPECT_TRUE(box.answer_unsent());
  EXPECT_EQ(box.next(), "item\n");
  box.sent(5);
  EXPECT_EQ(box.next(), "second\n");
  box.sent(7);
  EXPECT_TRUE(box.empty());
  EXPECT_FALSE(box.answer_unsent());
}

}  // namespace
}  // namespace stint::api
