// Exit codes from records and from errors, exactly as the table in the help says.
#include <gtest/gtest.h>

#include "client/failure.hpp"
#include "client/record.hpp"

namespace stint::cli {
namespace {

using nlohmann::json;

TEST(Record, ExitCodes) {
  EXPECT_EQ(exit_code_of({{"outcome", "succeeded"}, {"exit_code", 0}}), 0);
  EXPECT_EQ(exit_code_of({{"outcome", "failed"}, {"exit_code", 3}}), 3);
  EXPECT_EQ(exit_code_of({{"outcome", "failed"}, {"exit_code", 127}, {"error", {{"kind", "spawn"}}}}), 127);
  EXPECT_EQ(exit_code_of({{"outcome", "failed"}, {"signal", 9}}), 137);
  EXPECT_EQ(exit_code_of({{"outcome", "failed"}, {"error", {{"kind", "crashed"}}}}), 1);
  EXPECT_EQ(exit_code_of({{"outcome", "timed_out"}, {"signal", 15}}), 124);
  for (const auto* outcome : {"cancelled", "expired", "skipped", "lost", "something new"}) {
    EXPECT_EQ(exit_code_of({{"outcome", outcome}, {"exit_code", 0}}), 125) << outcome;
  }
  EXPECT_EQ(exit_code_of({{"state", "running"}}), 125);
}

TEST(Record, EndingsForPeople) {
  EXPECT_EQ(ending_of({{"outcome", "failed"}, {"exit_code", 3}}), "exit code 3");
  EXPECT_EQ(ending_of({{"outcome", "failed"}, {"signal", 9}}), "died of SIGKILL");
  EXPECT_EQ(ending_of({{"outcome", "timed_out"}}), "timed out");
  EXPECT_EQ(ending_of({{"outcome", "failed"}, {"error", {{"kind", "crashed"}, {"message", "its process died"}}}}),
            "failed: its process died (crashed)");
}

TEST(Record, WorkInOneLine) {
  EXPECT_EQ(work_of({{"command", {"sh", "-c", "echo 'it'", ""}}}), R"(sh -c 'echo '\''it'\''' '')");
  EXPECT_EQ(work_of({{"shell", "a | b"}}), "a | b");
  EXPECT_EQ(work_of({{"task", "digest"}, {"args", {{"file", "/x"}}}}), R"(digest {"file":"/x"})");
}

TEST(Record, FieldsByPathAreNeverMissing) {
  const json record{{"stdout", {{"bytes", 7}}}, {"name", "a"}};
  EXPECT_EQ(text_at(record, "stdout.bytes"), "7");
  EXPECT_EQ(text_at(record, "name"), "a");
  EXPECT_EQ(text_at(record, "name.bytes"), "");
  EXPECT_EQ(text_at(record, "stderr.bytes"), "");
  EXPECT_EQ(number_at(record, "name"), 0U);
}

TEST(Record, ErrorsHaveTheirExitCodes) {
  const auto code = [](const char* kind) {
    return RpcError({{"code", -1}, {"message", "no"}, {"data", {{"kind", kind}}}}).code();
  };
  EXPECT_EQ(code("invalid_params"), 65);
  EXPECT_EQ(code("not_found"), 66);
  EXPECT_EQ(code("purged"), 66);
  EXPECT_EQ(code("permission_denied"), 77);
  EXPECT_EQ(code("draining"), 75);
  EXPECT_EQ(code("limit_exceeded"), 75);
  EXPECT_EQ(code("timed_out"), 75);
  EXPECT_EQ(code("unavailable"), 75);
  EXPECT_EQ(code("internal_error"), 125);
  EXPECT_EQ(RpcError({{"message", "no"}, {"data", {{"kind", "unavailable"}, {"field", "job.locks"}}}}).code(), 65);
}

TEST(Record, ErrorsTellWhatHelps) {
  const RpcError error({{"message", "unknown field 'job.nmae'"}, {"data", {{"kind", "invalid_params"}, {"nearest", "name"}}}});
  EXPECT_STREQ(error.what(), "unknown field 'job.nmae'; did you mean 'name'?");
  EXPECT_EQ(RpcError(json::object()).code(), 125);
}

}  // namespace
}  // namespace stint::cli
