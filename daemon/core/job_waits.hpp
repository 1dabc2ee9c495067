// Running jobs that wait for other jobs through a connection of their own, so that circles are found. Keeps the books, decides
// nothing. A value of the core; throws std::bad_alloc only.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/job.hpp"

namespace stint::core {

/// A call by which `job` waits.
struct JobWait {
  std::uint64_t call = 0;
  std::uint64_t connection = 0;
  JobId job = 0;
  std::vector<JobId> ids;
  std::string group;  ///< where it waits for a group
  bool any = false;   ///< the end of one of them may be enough
};

class JobWaits {
 public:
  void begin(JobWait wait) {
    by_job_.emplace(wait.job, wait.call);
    by_connection_.emplace(wait.connection, wait.call);
    const std::uint64_t call = wait.call;
    waits_.emplace(call, std::move(wait));
  }
  void end(std::uint64_t call) {
    const auto found = waits_.extract(call);
    if (!found) return;
    by_job_.erase({found.mapped().job, call});
    by_connection_.erase({found.mapped().connection, call});
  }
  void end_job(JobId job) { end_all(by_job_, job); }
  void end_connection(std::uint64_t connection) { end_all(by_connection_, connection); }

  [[nodiscard]] std::set<JobId> jobs() const {
    std::set<JobId> jobs;
    for (const auto& [job, call] : by_job_) jobs.insert(job);
    return jobs;
  }
  [[nodiscard]] bool empty() const { return waits_.empty(); }
  template <class Visit>
  void each_of(JobId job, Visit&& visit) const {
    for (auto at = by_job_.lower_bound({job, 0}); at != by_job_.end() && at->first == job; ++at) visit(waits_.at(at->second));
  }

 private:
  using Index = std::set<std::pair<std::uint64_t, std::uint64_t>>;

  void end_all(const Index& index, std::uint64_t of) {
    for (auto at = index.lower_bound({of, 0}); at != index.end() && at->first == of; at = index.lower_bound({of, 0})) {
      end(at->second);
    }
  }

  std::map<std::uint64_t, JobWait> waits_;
  Index by_job_;
  Index by_connection_;
};

}  // namespace stint::core
