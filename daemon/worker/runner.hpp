// The runner: one process that spawns and supervises many programs for the daemon, and outlives it.
//
// It listens on STATE/workers/NAME/sock for its daemon, begins what it is told, drains outputs, enforces timeouts, kills
// trees, and reports each end until it is told that the end is on record. What it has begun and ended stands in its slot
// file before it is reported. Without a daemon it begins nothing; programs that are not durable are killed, the others go
// on, and what they leave is put where it survives the runner. The next daemon, known by its larger epoch, is told
// everything. Without a daemon and without programs it ends. Its loop is one thread; the first thread only adopts
// orphans.
#pragma once

#include <string>

#include "common/unique_fd.hpp"

namespace stint::worker {

struct WorkerPlace {
  std::string folder;  ///< STATE/workers/NAME
  UniqueFd lock;       ///< held for the worker's whole life
  UniqueFd listener;   ///< SOCK_SEQPACKET, listening
  UniqueFd parent;     ///< a pidfd: without it, a daemon that has not come by now will not
};

/// Runs until its daemon has gone and all programs have ended. Returns the exit code. Must be called on the first
/// thread of a process that has no other threads yet.
[[nodiscard]] int runner_main(WorkerPlace place);

}  // namespace stint::worker
