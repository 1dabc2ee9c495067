// What pool.set takes: each bound at it and one past it.
#include "common/pool.hpp"
#include "tests/unit/common/common_support.hpp"

namespace stint {
namespace {

using test::decode_error;
using test::decode_text;

std::string pool_refused(const std::string& rest) {
  const auto error = decode_error<PoolSpec>(R"({"name":"p","command":["w"],"size":1,)" + rest + "}");
  return test::kind_and_field(error);
}

TEST(PoolSpec, ReadsWhatItWrites) {
  for (
      const char* text :
      {R"({"name":"p","command":["w","-u"],"size":4})",
       R"({"name":"p","command":["w"],"size":1,"cwd":"/tmp","env":{"A":"1"},"max_jobs":10,"idle_timeout":0.5,"bind":"connection"})"}) {
    EXPECT_EQ(json::encode_text(decode_text<PoolSpec>(text)), text);
  }
}

TEST(PoolSpec, Bounds) {
  const auto sized = [](const std::string& size) { return R"({"name":"p","command":["w"],"size":)" + size + "}"; };
  EXPECT_EQ(decode_text<PoolSpec>(sized(std::to_string(limits::pool_size_max))).size, limits::pool_size_max);
  EXPECT_EQ(test::kind_and_field(decode_error<PoolSpec>(sized(std::to_string(limits::pool_size_max + 1)))),
            "invalid_params size");
  EXPECT_EQ(test::kind_and_field(decode_error<PoolSpec>(sized("0"))), "invalid_params size");
  EXPECT_EQ(pool_refused(R"("max_jobs":0)"), "invalid_params max_jobs");
  EXPECT_EQ(pool_refused(R"("max_jobs":1000000001)"), "invalid_params max_jobs");
  EXPECT_EQ(pool_refused(R"("idle_timeout":0)"), "invalid_params idle_timeout");
}

TEST(PoolSpec, WhatIsWrongIsNamed) {
  EXPECT_EQ(pool_refused(R"("cwd":"relative")"), "invalid_params cwd");
  EXPECT_EQ(pool_refused(R"("env":{"A=B":"1"})"), "invalid_params env.A=B");
  EXPECT_EQ(pool_refused(R"("bind":"job")"), "invalid_params bind");
  EXPECT_EQ(pool_refused(R"("sise":2)"), "invalid_params sise");
  EXPECT_EQ(test::kind_and_field(decode_error<PoolSpec>(R"({"name":"p","size":1})")), "invalid_params command");
  EXPECT_EQ(test::kind_and_field(decode_error<PoolSpec>(R"({"name":"p","size":1,"command":[""]})")), "invalid_params command[0]");
}

}  // namespace
}  // namespace stint
