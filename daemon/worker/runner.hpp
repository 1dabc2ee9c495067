// The runner: one process that spawns and supervises many programs for the daemon.
//
// It listens on STATE/workers/NAME/sock for its one daemon, begins what it is told, drains outputs, enforces timeouts,
// kills trees, and reports each end once. What it has begun and ended stands in its slot file before it is reported. In
// this version a runner that loses its daemon kills its programs and ends. Its loop is one thread, which a spawn holds until
// the program runs (vfork): hence two runners at least. The first thread only adopts orphans.
#pragma once

#include <string>

#include "common/unique_fd.hpp"

namespace stint::worker {

struct WorkerPlace {
  std::string folder;  ///< STATE/workers/NAME
  UniqueFd lock;       ///< held for the worker's whole life
  UniqueFd listener;   ///< SOCK_SEQPACKET, listening
};

/// Runs until the daemon has gone and all programs have ended. Returns the exit code. Must be called on the first
/// thread of a process that has no other threads yet.
[[nodiscard]] int runner_main(WorkerPlace place);

}  // namespace stint::worker
