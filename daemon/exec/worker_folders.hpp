// A worker's folder as the daemon sees it: connecting to a worker, and getting hold of one that is not our descendant.
//
// STATE/workers/NAME is made by the zygote and cleared by it (daemon/worker/worker_folder.hpp); nothing is written here.
// Any thread; throws only bad_alloc.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/unique_fd.hpp"

namespace stint::exec {

/// A connection, non-blocking; none, and errno, where that fails. Does not wait for the worker to accept.
[[nodiscard]] UniqueFd connect_worker(const std::string& state_dir, const std::string& name);

/// A pidfd of the process that has noted this pid as its own and holds the folder's lock; none where it has ended.
[[nodiscard]] UniqueFd hold_worker(const std::string& state_dir, const std::string& name, pid_t pid);

}  // namespace stint::exec
