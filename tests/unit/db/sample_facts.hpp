// Facts as the core hands them over, for tests of the store on disk: their jobs use every part of what is stored.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "daemon/core/effects.hpp"

namespace stint::db {

inline std::shared_ptr<const core::User> sample_user(std::uint32_t uid = 1000) {
  return std::make_shared<const core::User>(core::User{uid, "user" + std::to_string(uid)});
}

inline std::shared_ptr<const JobSpec> sample_spec(const std::string& word, const std::string& group = {}) {
  auto spec = std::make_shared<JobSpec>();
  spec->command = {"/bin/echo", word};
  if (!group.empty()) spec->group = group;
  spec->env["WORD"] = word;
  spec->timeout = std::chrono::milliseconds(1'500);
  spec->retry.max = word.size() % 2;
  return spec;
}

inline core::SubmitFact submit_one(JobId id, std::shared_ptr<const JobSpec> spec, std::uint32_t uid = 1000, JobId parent = 0) {
  core::SubmitFact fact{
      .first = id, .parent = parent, .at = Time{Duration{1'000'000 + id}}, .user = sample_user(uid), .jobs = {}, .key = {}};
  fact.jobs.push_back({std::move(spec), nullptr, std::nullopt, ExecutorKind::process, core::Lane::program, {}, {}});
  return fact;
}

/// A template over `count` items.
inline core::SubmitFact submit_items(JobId first, std::size_t count, const std::shared_ptr<const JobSpec>& spec,
                                     std::uint32_t uid = 1000) {
  core::SubmitFact fact{
      .first = first, .parent = 0, .at = Time{Duration{1'000'000 + first}}, .user = sample_user(uid), .jobs = {}, .key = {}};
  for (std::size_t i = 0; i < count; ++i) {
    auto item = std::make_shared<const json::Raw>(json::Raw{"\"item" + std::to_string(i) + "\""});
    fact.jobs.push_back(
        {spec, std::move(item), static_cast<std::uint32_t>(i), ExecutorKind::coroutine, core::Lane::coroutine, {}, {}});
  }
  return fact;
}

/// The end of job `at` of a submit.
inline core::FinishedPtr end_of(const core::SubmitFact& submit, std::size_t at, Seq seq, std::string output = "hello\n") {
  const core::SubmittedJob& job = submit.jobs.at(at);
  auto finished = std::make_shared<core::FinishedJob>();
  finished->id = submit.first + at;
  finished->seq = seq;
  finished->attempt = 1;
  finished->outcome = Outcome::failed;
  finished->finished_at = Time{std::chrono::seconds(seq % 1'000'000)};
  finished->user = submit.user;
  finished->spec = job.spec;
  finished->item = job.item;
  finished->index = job.index;
  finished->record = "{\"id\":" + std::to_string(finished->id) + "}";
  finished->end.ending = EndReport::Exited{3};
  finished->end.usage = Usage{std::chrono::microseconds(5), std::chrono::microseconds(6), 7};
  finished->end.stdout_content = OutputContent{{output.size(), false}, output, false};
  finished->end.finished_at = finished->finished_at;
  return finished;
}

/// A specification with all that is stored of it.
inline std::string text_of(const JobSpec& spec) { return json::encode_text(spec) + " " + spec.item_marker; }

inline void expect_same(const core::FinishedPtr& answer, const core::FinishedJob& wanted) {
  ASSERT_TRUE(answer) << "job " << wanted.id << " is not there";
  const core::FinishedJob& found = *answer;
  EXPECT_EQ(found.id, wanted.id);
  EXPECT_EQ(found.seq, wanted.seq);
  EXPECT_EQ(found.attempt, wanted.attempt);
  EXPECT_EQ(found.outcome, wanted.outcome);
  EXPECT_EQ(found.finished_at, wanted.finished_at);
  EXPECT_EQ(found.user->uid, wanted.user->uid);
  EXPECT_EQ(found.user->name, wanted.user->name);
  EXPECT_EQ(text_of(*found.spec), text_of(*wanted.spec));
  ASSERT_EQ(found.item == nullptr, wanted.item == nullptr);
  if (found.item) {
    EXPECT_EQ(*found.item, *wanted.item);
  }
  EXPECT_EQ(found.index, wanted.index);
  EXPECT_EQ(found.record, wanted.record);
  EXPECT_EQ(found.end, wanted.end);
}

}  // namespace stint::db
