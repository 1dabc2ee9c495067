// Removes output files that nobody will ask for: what a crash has left in STATE/out.
//
// A file stays where an unfinished job may write it, where the record of its job names it, and where its name is none that
// we give. What is left of jobs that were never stored, and the copies of output that travelled with a result, go. Looks
// once, at jobs older than this daemon only: what it writes itself it also removes. The folder is read on another thread;
// everything else happens on the I/O thread. Throws only bad_alloc.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "daemon/core/scheduler.hpp"
#include "daemon/db/store.hpp"

namespace stint {

class OutputSweep {
 public:
  using Offload = std::function<void(std::function<void()> work, std::function<void()> done)>;

  /// `below`: the first id that this daemon may give. All that is referred to must outlive it.
  OutputSweep(const core::Scheduler& scheduler, db::Store& store, std::filesystem::path folder, JobId below, Offload offload);

  /// To be called once, when it is known which runs of earlier daemons live.
  void begin();

 private:
  struct File {
    std::string name;
    JobId job = 0;
    Attempt attempt = 0;
    StreamName of{};
  };

  static std::vector<File> list(const std::filesystem::path& folder, JobId below);
  void next_page();
  [[nodiscard]] static bool is_named(const File& file, const db::Found& row);

  const core::Scheduler& scheduler_;
  db::Store& store_;
  std::filesystem::path folder_;
  JobId below_;
  Offload offload_;
  std::deque<File> files_;  // still to be looked at, in the order of their jobs
};

}  // namespace stint
