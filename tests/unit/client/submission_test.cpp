// Submits with a key: where it stands, who gets one, and what makes the client go on without.
#include <gtest/gtest.h>

#include "client/submission.hpp"

namespace stint::cli {
namespace {

RpcError refusal(const std::string& kind, const std::string& field) {
  return RpcError({{"code", -32006}, {"message", "no"}, {"data", {{"kind", kind}, {"field", field}}}});
}

JobSpec spec(bool durable) {
  JobSpec out;
  out.command = {"true"};
  out.durable = durable;
  return out;
}

TEST(SubmissionTest, AKeyIsOneFieldMore) {
  const Submission one(spec(true));
  auto params = nlohmann::json::parse(one.params());
  EXPECT_EQ(params["job"]["key"].get<std::string>().size(), 32U);
  EXPECT_EQ(params["job"]["command"].size(), 1U);

  const Submission many(R"({"jobs":[{"command":["true"]}]})", true);
  params = nlohmann::json::parse(many.params());
  EXPECT_EQ(params["key"].get<std::string>().size(), 32U);
  EXPECT_EQ(params["jobs"].size(), 1U);
}

TEST(SubmissionTest, TheSameEachTimeAndAnotherForEach) {
  const Submission one(spec(true));
  EXPECT_EQ(one.params(), one.params());
  EXPECT_NE(one.params(), Submission(spec(true)).params());
}

TEST(SubmissionTest, OnlyDurableJobsGetOne) {
  const Submission one(spec(false));
  EXPECT_FALSE(one.keyed());
  EXPECT_EQ(one.params().find("\"key\""), std::string::npos);
  EXPECT_FALSE(Submission(R"({"jobs":[]})", false).keyed());
}

TEST(SubmissionTest, ADaemonWithoutKeysIsAskedWithout) {
  Submission one(spec(true));
  EXPECT_FALSE(one.drop_key(refusal("unavailable", "job.command")));
  EXPECT_FALSE(one.drop_key(refusal("conflict", "job.key")));
  EXPECT_TRUE(one.keyed());
  EXPECT_TRUE(one.drop_key(refusal("unavailable", "job.key")));
  EXPECT_EQ(one.params(), R"({"job":{"command":["true"]}})");
  EXPECT_FALSE(one.drop_key(refusal("unavailable", "job.key"))) << "only once";
  Submission many(R"({"jobs":[]})", true);
  EXPECT_TRUE(many.drop_key(refusal("unavailable", "key")));
}

}  // namespace
}  // namespace stint::cli
