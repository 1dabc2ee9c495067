// Finished jobs for tests of what is stored.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/db/store.hpp"

namespace stint::db {

inline core::FinishedPtr finished(JobId id, Seq seq, const std::string& group = {}, std::uint32_t uid = 1000) {
  auto spec = std::make_shared<JobSpec>();
  if (!group.empty()) spec->group = group;
  auto job = std::make_shared<core::FinishedJob>();
  job->id = id;
  job->seq = seq;
  job->finished_at = Time{std::chrono::seconds(seq)};
  job->spec = std::move(spec);
  job->user = std::make_shared<const core::User>(core::User{uid, "user" + std::to_string(uid)});
  job->record = "{}";
  return job;
}

inline std::vector<JobId> ids_of(const Overdue& overdue) {
  std::vector<JobId> ids;
  for (const Aged& job : overdue.jobs) ids.push_back(job.id);
  return ids;
}

inline std::vector<Seq> seqs(const std::vector<core::FinishedPtr>& jobs) {
  std::vector<Seq> all;
  for (const auto& job : jobs) all.push_back(job->seq);
  return all;
}

}  // namespace stint::db
