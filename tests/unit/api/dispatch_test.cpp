// Envelope, checks from the table, batches, notifications and errors.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/unit/api/fake_backend.hpp"

namespace stint::api {
namespace {

using fakes::FakeBackend;
using fakes::Peer;
using nlohmann::json;

struct DispatchTest : ::testing::Test {
  FakeBackend backend;
  Peer peer{backend};
};

TEST_F(DispatchTest, EnvelopeIsChecked) {
  EXPECT_EQ(peer.error_kind("nonsense"), "parse_error");
  EXPECT_EQ(peer.error_kind("7"), "invalid_request");
  EXPECT_EQ(peer.error_kind(R"({"id":1,"method":"task.list"})"), "invalid_request");
  EXPECT_EQ(peer.error_kind(R"({"jsonrpc":"1.0","id":1,"method":"task.list"})"), "invalid_request");
  EXPECT_EQ(peer.error_kind(R"({"jsonrpc":"2.0","id":1})"), "invalid_request");
  EXPECT_EQ(peer.error_kind(R"({"jsonrpc":"2.0","id":1,"method":5})"), "invalid_request");
  EXPECT_EQ(peer.error_kind(R"({"jsonrpc":"2.0","id":1,"method":"task.list","parms":{}})"), "invalid_request");
  EXPECT_EQ(peer.error_kind(R"({"jsonrpc":"2.0","id":1,"method":"task.list","params":[]})"), "invalid_params");
  EXPECT_EQ(peer.error_kind(R"({"jsonrpc":"2.0","id":1,"method":"task.list","params":{"x":1}})"), "invalid_params");
  EXPECT_EQ(peer.error_kind(R"({"jsonrpc":"2.0","id":1,"method":"task.list"})"), "none");
}

TEST_F(DispatchTest, IdsAreStringsOrIntegers) {
  for (const std::string id : {"1", "-5", "18446744073709551615", R"("x\"y")", R"("")"}) {
    peer.say(R"({"jsonrpc":"2.0","id":)" + id + R"(,"method":"task.list"})");
    const auto lines = peer.hear();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0]["id"], json::parse(id));
    EXPECT_TRUE(lines[0].contains("result"));
  }
  for (const std::string id : {"1.5", "null", "true", "[]", "{}"}) {
    peer.say(R"({"jsonrpc":"2.0","id":)" + id + R"(,"method":"task.list"})");
    const auto lines = peer.hear();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0]["id"], nullptr);
    EXPECT_EQ(lines[0]["error"]["data"]["kind"], "invalid_request");
  }
  const auto with_id = [](std::size_t bytes) {
    return R"({"jsonrpc":"2.0","id":")" + std::string(bytes, 'i') + R"(","method":"task.list"})";
  };
  EXPECT_EQ(peer.error_kind(with_id(limits::request_id_bytes_max)), "none");
  EXPECT_EQ(peer.error_kind(with_id(limits::request_id_bytes_max + 1)), "invalid_request");
}

TEST_F(DispatchTest, AKeyThatStandsTwiceIsNamedAndAnswered) {
  peer.say(R"({"jsonrpc":"2.0","id":9,"method":"job.get","params":{"id":1,"id":2}})");
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["id"], 9);
  EXPECT_EQ(lines[0]["error"]["data"]["field"], "id");
}

TEST_F(DispatchTest, UnknownMethodHasTheNearest) {
  const auto answer = peer.call("job.sumbit");
  EXPECT_EQ(answer["error"]["data"]["kind"], "method_not_found");
  EXPECT_EQ(answer["error"]["data"]["nearest"], "job.submit");
}

TEST_F(DispatchTest, NotificationsAreNeverAnswered) {
  peer.say(R"({"jsonrpc":"2.0","method":"job.submit","params":{"job":{"task":"echo","durable":false}}})");
  peer.say(R"({"jsonrpc":"2.0","method":"job.submit","params":{"job":{}}})");
  peer.say(R"({"jsonrpc":"2.0","method":"no.such"})");
  peer.say(R"({"jsonrpc":"2.0","method":"job.results"})");
  peer.say(R"({"jsonrpc":"2.0","method":"job.run","params":{"job":{"task":"echo","durable":false}}})");
  backend.house.finish(2);
  EXPECT_TRUE(peer.hear().empty());
  EXPECT_EQ(backend.scheduler().last_id(), 2U) << "they take effect all the same";
}

TEST_F(DispatchTest, BatchIsAnsweredInTheOrderAsked) {
  backend.house.finish(backend.house.submit());
  peer.say(R"([{"jsonrpc":"2.0","id":1,"method":"job.get","params":{"id":1}},{"jsonrpc":"2.0","method":"task.list"},7,)"
           R"({"jsonrpc":"2.0","id":2,"method":"task.list"},{"jsonrpc":"2.0","id":3,"method":"job.wait","params":{"ids":[1]}}])");
  const auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  ASSERT_EQ(lines[0].size(), 4U);
  EXPECT_EQ(lines[0][0]["result"]["id"], 1);
  EXPECT_EQ(lines[0][1]["id"], nullptr);
  EXPECT_EQ(lines[0][2]["id"], 2);
  EXPECT_EQ(lines[0][3]["error"]["data"]["kind"], "invalid_request");
}

TEST_F(DispatchTest, BatchBounds) {
  EXPECT_EQ(peer.error_kind("[]"), "invalid_request");
  peer.say(R"([{"jsonrpc":"2.0","method":"task.list"}])");
  EXPECT_TRUE(peer.hear().empty());
  const auto batch = [](std::size_t count) {
    std::string out = "[";
    for (std::size_t i = 0; i < count; ++i) out += std::string(i > 0 ? "," : "") + R"({"jsonrpc":"2.0","id":1,"method":"rpc"})";
    return out + "]";
  };
  peer.say(batch(limits::batch_requests_max));
  auto lines = peer.hear();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].size(), limits::batch_requests_max);
  EXPECT_EQ(peer.error_kind(batch(limits::batch_requests_max + 1)), "limit_exceeded");
}

TEST_F(DispatchTest, DrainingRefusesNewWorkOnly) {
  backend.house.submit();
  backend.house.scheduler.on_drain(core::DrainScope::queued, backend.house.now, backend.house.effects);
  const json job{{"job", {{"task", "echo"}}}};
  EXPECT_EQ(peer.call("job.submit", job)["error"]["data"]["kind"], "draining");
  EXPECT_EQ(peer.call("job.run", job)["error"]["data"]["kind"], "draining");
  EXPECT_TRUE(peer.call("job.get", {{"id", 1}}).contains("result"));
  EXPECT_TRUE(peer.call("job.cancel", {{"ids", {1}}}).contains("result"));
}

TEST(MethodTableTest, DescribesEveryMethod) {
  const auto document = openrpc_document();
  ASSERT_EQ(document["methods"].size(), method_table().size());
  for (const auto& method : method_table()) {
    EXPECT_EQ(find_method(method.name), &method);
    EXPECT_FALSE(method.summary.empty()) << method.name;
    EXPECT_TRUE(!method.result.empty() || method.describe_result != nullptr) << method.name;
  }
}

TEST(MethodTableTest, DocumentationIsUpToDate) {
  std::ifstream file(STINT_PROTOCOL_DOC);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), protocol_markdown()) << "docs/protocol.md differs from the method table: build the target protocol_doc";
}

}  // namespace
}  // namespace stint::api
