// The files of kept output that the next commit names: on disk before the commit that announces their job.
//
// Collects while facts are recorded, and syncs all at once: each file, then their folder. It reads nothing and writes nothing.
// The store's thread only. Throws SqliteError, as a commit that fails does: no_room() where the disk is full.
#pragma once

#include <string>
#include <vector>

#include "common/job.hpp"

namespace stint::db {

class OutputSync {
 public:
  /// `folder` is STATE/out; empty: nothing is synced.
  explicit OutputSync(std::string folder) : folder_(std::move(folder)) {}

  /// Those of an attempt whose end is recorded; none where its output travels with the result.
  void add(JobId id, Attempt attempt, const EndReport& end);
  /// What is not there (any more) is passed over.
  void sync() const;
  void clear() { files_.clear(); }

 private:
  const std::string folder_;
  std::vector<std::string> files_;
};

}  // namespace stint::db
