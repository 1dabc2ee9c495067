// daemon.drain and daemon.undrain through the dispatcher, against the real core and feed.
#include <gtest/gtest.h>

#include "tests/unit/api/fake_backend.hpp"

namespace stint::api {
namespace {

using fakes::FakeBackend;
using fakes::Peer;
using nlohmann::json;

struct DrainMethodTest : ::testing::Test {
  std::string kind_of(const std::string& method, const json& params) {
    const auto answer = peer.call(method, params);
    return answer.contains("error") ? answer["error"]["data"]["kind"].get<std::string>() : "none";
  }
  /// More jobs than the house has slots; the last ones are queued.
  void fill(JobId jobs) {
    for (JobId i = 0; i < jobs; ++i) backend.house.submit();
  }
  /// The answer to a call that was made before; null while it waits.
  json later() {
    const auto lines = peer.hear();
    return lines.empty() ? json() : lines.front();
  }

  FakeBackend backend;
  Peer peer{backend};
};

constexpr JobId slots = 1'000;

TEST_F(DrainMethodTest, WithNothingHereItIsOverAtOnceAndLasts) {
  const auto answer = peer.call("daemon.drain")["result"];
  EXPECT_TRUE(answer["pending"].empty());
  EXPECT_EQ(answer["count"], 0);
  EXPECT_EQ(kind_of("job.submit", {{"job", {{"task", "echo"}}}}), "draining");
  EXPECT_EQ(kind_of("daemon.undrain", json::object()), "none");
  EXPECT_EQ(kind_of("job.submit", {{"job", {{"task", "echo"}}}}), "none");
}

TEST_F(DrainMethodTest, RunningWaitsForWhatRunsAndStartsNothing) {
  fill(slots + 1);
  EXPECT_TRUE(peer.call("daemon.drain").is_null());
  for (JobId id = 1; id < slots; ++id) backend.house.finish(id);
  EXPECT_TRUE(later().is_null());
  backend.house.finish(slots);
  EXPECT_EQ(later()["result"]["count"], 0);
  const auto why = peer.call("job.why", {{"id", slots + 1}})["result"];
  EXPECT_EQ(why["state"], "queued");
  EXPECT_EQ(why["reasons"], json::array({{{"kind", "draining"}}})) << "slots are free";
  peer.call("daemon.undrain");
  EXPECT_EQ(peer.call("job.get", {{"id", slots + 1}})["result"]["state"], "running");
}

TEST_F(DrainMethodTest, QueuedWaitsForWhatIsQueuedToo) {
  fill(slots + 1);
  EXPECT_TRUE(peer.call("daemon.drain", {{"scope", "queued"}}).is_null());
  for (JobId id = 1; id <= slots; ++id) backend.house.finish(id);
  EXPECT_TRUE(later().is_null());
  EXPECT_EQ(peer.call("job.why", {{"id", slots + 1}})["result"]["state"], "running");
  backend.house.finish(slots + 1);
  EXPECT_EQ(later()["result"], (json{{"pending", json::array()}, {"count", 0}}));
}

TEST_F(DrainMethodTest, AfterItsTimeoutItTellsWhatIsLeft) {
  fill(slots + 2);
  for (JobId id = 1; id < slots; ++id) backend.house.finish(id);
  EXPECT_EQ(peer.call("daemon.drain", {{"timeout", 0}})["result"],
            (json{{"pending", {slots, slots + 1, slots + 2}}, {"count", 3}}));
  EXPECT_TRUE(peer.call("daemon.drain", {{"timeout", 2}}).is_null());
  backend.house.finish(slots + 1);
  backend.house.timers.advance(std::chrono::seconds(2));
  EXPECT_EQ(later()["result"], (json{{"pending", {slots, slots + 2}}, {"count", 2}}));
  EXPECT_EQ(backend.feed().open_count(), 0U);
}

TEST_F(DrainMethodTest, AsManyIdsAsOtherCallsTake) {
  fill(limits::wait_ids_max + 1);
  const auto left = peer.call("daemon.drain", {{"scope", "queued"}, {"timeout", 0}})["result"];
  EXPECT_EQ(left["pending"].size(), limits::wait_ids_max);
  EXPECT_EQ(left["count"], limits::wait_ids_max + 1);
  backend.house.finish(1);
  EXPECT_EQ(peer.call("daemon.drain", {{"scope", "queued"}, {"timeout", 0}})["result"]["pending"].size(), limits::wait_ids_max);
}

TEST_F(DrainMethodTest, TheEndIsToldWhenItIsOnDisk) {
  backend.house.auto_commit = false;
  backend.house.submit(std::nullopt, true);
  backend.commit();
  EXPECT_TRUE(peer.call("daemon.drain").is_null());
  backend.house.finish(1);
  EXPECT_TRUE(later().is_null());
  backend.commit();
  EXPECT_EQ(later()["result"]["count"], 0);
}

TEST_F(DrainMethodTest, WhoWaitsIsToldThatItWasEnded) {
  fill(1);
  EXPECT_TRUE(peer.call("daemon.drain").is_null());
  Peer other(backend);
  EXPECT_TRUE(other.call("daemon.undrain").contains("result"));
  EXPECT_EQ(later()["error"]["data"]["kind"], "conflict");
}

TEST_F(DrainMethodTest, AnotherScopeEndsTheWaitForThisOne) {
  fill(1);
  EXPECT_TRUE(peer.call("daemon.drain", {{"scope", "queued"}}).is_null());
  Peer other(backend);
  EXPECT_TRUE(other.call("daemon.drain", {{"scope", "queued"}}).is_null());
  EXPECT_TRUE(later().is_null()) << "the same scope: both wait";
  EXPECT_TRUE(other.call("daemon.drain").contains("error")) << "the answer to its first call";
  EXPECT_EQ(later()["error"]["data"]["kind"], "conflict");
  backend.house.finish(1);
  EXPECT_EQ(other.hear().at(0)["result"]["count"], 0);
}

TEST_F(DrainMethodTest, ItIsAWaitingCall) {
  fill(1);
  peer.say(R"([{"jsonrpc":"2.0","id":1,"method":"daemon.drain"}])");
  EXPECT_EQ(peer.hear().at(0)[0]["error"]["data"]["kind"], "invalid_request");
  EXPECT_FALSE(backend.scheduler().draining()) << "what is refused has begun nothing";
  for (std::size_t i = 0; i < limits::waiting_requests_max; ++i) {
    peer.say(R"({"jsonrpc":"2.0","id":1,"method":"daemon.drain"})");
  }
  EXPECT_TRUE(peer.hear().empty());
  EXPECT_EQ(kind_of("daemon.drain", json::object()), "limit_exceeded");
  peer.conversation->gone();
  EXPECT_EQ(backend.feed().open_count(), 0U);
}

}  // namespace
}  // namespace stint::api
