// What a pool's worker reads, and what is made of the lines that it writes.
#include "daemon/worker/pool_lines.hpp"

#include <gtest/gtest.h>

#include "common/limits.hpp"

namespace stint::worker {
namespace {

std::string bad(const std::string& line) {
  json::Parser parser;
  const auto said = read_worker_line(parser, line, 17);
  const auto* reason = std::get_if<BadLine>(&said);
  return reason == nullptr ? "not bad" : reason->reason;
}

template <class T>
T good(const std::string& line) {
  json::Parser parser;
  auto said = read_worker_line(parser, line, 17);
  EXPECT_TRUE(std::holds_alternative<T>(said)) << line;
  return std::holds_alternative<T>(said) ? std::get<T>(std::move(said)) : T{};
}

TEST(PoolLines, AMessage) {
  PoolMessage message;
  message.run = {17, 2};
  EXPECT_EQ(message_line(message, std::nullopt), "{\"id\":17,\"attempt\":2,\"args\":null,\"deadline\":null}\n");
  message.args = R"({"a":[1]})";
  EXPECT_EQ(message_line(message, Time{std::chrono::milliseconds(1'500)}),
            "{\"id\":17,\"attempt\":2,\"args\":{\"a\":[1]},\"deadline\":1.5}\n");
}

TEST(PoolLines, Answers) {
  EXPECT_EQ(good<WorkerResult>(R"({"id": 17, "result": {"a": [1, null]}, "more": 1})").result, R"({"a":[1,null]})");
  EXPECT_EQ(good<WorkerResult>(R"({"result": null, "id": 17})").result, "null");
  const auto progress = good<WorkerProgress>(R"({"id": 17, "progress": 1, "text": "half"})");
  EXPECT_EQ(progress.value, 1);
  EXPECT_EQ(progress.text, "half");
  const auto failure = good<PoolFailure>(R"({"id": 17, "error": {"message": "no", "kind": "ValueError", "data": {"x": 1}}})");
  EXPECT_EQ(failure.kind, "ValueError");
  EXPECT_EQ(failure.message, "no");
  EXPECT_EQ(failure.data, R"({"x":1})");
  EXPECT_EQ(good<PoolFailure>(R"({"id":17,"error":{"message":""}})").kind, "failed");
}

TEST(PoolLines, WhatIsTooLongIsCut) {
  const auto failure_of = [](std::size_t bytes) {
    return good<PoolFailure>(R"({"id":17,"error":{"message":")" + std::string(bytes, 'm') + "\"}}").message.size();
  };
  EXPECT_EQ(failure_of(limits::task_error_bytes_max), limits::task_error_bytes_max);
  EXPECT_EQ(failure_of(limits::task_error_bytes_max + 1), limits::task_error_bytes_max);
  std::string accents;
  for (std::size_t i = 0; i < limits::task_error_bytes_max; ++i) accents += "é";
  EXPECT_TRUE(json::is_utf8(good<PoolFailure>(R"({"id":17,"error":{"message":"x)" + accents + "\"}}").message));
}

TEST(PoolLines, Rubbish) {
  EXPECT_NE(bad("rubbish").find("not JSON"), std::string::npos);
  EXPECT_NE(bad("").find("not JSON"), std::string::npos);
  EXPECT_NE(bad("\xff").find("not JSON"), std::string::npos);
  EXPECT_NE(bad("17").find("no JSON object"), std::string::npos);
  EXPECT_NE(bad(R"({"result":1})").find("without an 'id'"), std::string::npos);
  EXPECT_NE(bad(R"({"id":"17","result":1})").find("without an 'id'"), std::string::npos);
  EXPECT_NE(bad(R"({"id":18,"result":1})").find("message 18"), std::string::npos);
  EXPECT_NE(bad(R"({"id":17})").find("without 'result'"), std::string::npos);
  EXPECT_NE(bad(R"({"id":17,"id":17,"result":1})").find("not JSON"), std::string::npos) << "a key that stands twice";
  EXPECT_NE(bad(R"({"id":17,"result":1,"error":{"message":""}})").find("both"), std::string::npos);
  EXPECT_NE(bad(R"({"id":17,"error":{}})").find("without a 'message'"), std::string::npos);
  EXPECT_NE(bad(R"({"id":17,"progress":1.5})").find("from 0 to 1"), std::string::npos);
  EXPECT_NE(bad(R"({"id":17,"progress":"1"})").find("from 0 to 1"), std::string::npos);
  EXPECT_EQ(bad("x\x1b[2J" + std::string(200, 'y')).find('\x1b'), std::string::npos) << "nothing that forges a line";
  EXPECT_LT(bad(std::string(1'000, 'y')).size(), 250U);
}

}  // namespace
}  // namespace stint::worker
