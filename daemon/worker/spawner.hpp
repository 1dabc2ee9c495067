// Spawns on a thread of its own, so that a spawn that takes long (a slow exec, a file system that hangs) stops neither
// the draining of pipes nor the timers of the runner.
//
// There is a second reason: children belong to the thread that made them, orphans that the kernel hands to a subreaper
// go to its first thread. So the runner's own thread has exactly the orphans as children and one waitid tells whether
// there are any (orphans_alive in children.hpp). One thread, not more: a child on its way into exec would hold the pipes
// of one that is spawned beside it and be taken for its leftover. Used from the loop's thread only.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/unique_fd.hpp"
#include "daemon/worker/spawn.hpp"

namespace stint::worker {

struct SpawnTask {
  SpawnPlan plan;
  SpawnResult result;
  std::chrono::steady_clock::time_point submitted_at;
};

class Spawner {
 public:
  Spawner();
  ~Spawner();  ///< waits for the spawn that is under way
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  /// Whoever submits looks at what is done after this time by himself: only what takes longer, or fails, wakes him.
  static constexpr std::chrono::milliseconds quick{1};

  void submit(std::shared_ptr<SpawnTask> task);
  /// Readable when there is a task done that was not quick.
  [[nodiscard]] int done_fd() const { return done_event_.get(); }
  /// To be called when done_fd is readable.
  void clear_done_fd();
  [[nodiscard]] std::vector<std::shared_ptr<SpawnTask>> take_done();

 private:
  void work();

  UniqueFd done_event_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<SpawnTask>> queue_;  // guarded by mutex_
  std::vector<std::shared_ptr<SpawnTask>> done_;  // guarded by mutex_
  bool closing_ = false;                          // guarded by mutex_
  std::thread thread_;
};

}  // namespace stint::worker
