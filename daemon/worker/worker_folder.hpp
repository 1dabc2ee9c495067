// STATE/workers/NAME/: the folder by which a worker is found, and known to be alive or dead.
//
// The worker holds a lock on `lock` for its whole life, so a lock that can be taken proves death; no clock does. Whoever
// clears a folder away holds its lock, so two zygotes (an old daemon's and a new one's) never clear the same one, and
// none clears a living worker's. The zygote's thread; throws Error `unavailable` with what could not be done.
#pragma once

#include <string>
#include <vector>

#include "common/process_tree.hpp"
#include "daemon/worker/runner.hpp"

namespace stint::worker {

[[nodiscard]] std::string workers_folder(const std::string& state_dir);

/// Makes the folder, takes the lock, binds the socket. Throws where the folder exists.
[[nodiscard]] WorkerPlace make_worker_folder(const std::string& state_dir, const std::string& name);

/// The lock of a folder whose worker is dead; none where it lives or the folder is gone.
[[nodiscard]] UniqueFd lock_dead_folder(const std::string& folder);
/// Whether there is a lock file.
[[nodiscard]] bool has_lock(const std::string& folder);
/// Notes in its lock file the worker's pid and which file that is, for whoever takes it over or has to end it. Before
/// anybody is told of the worker: one without a noted pid has nothing to do and will never have.
void note_pid(const WorkerPlace& place, pid_t pid);
/// The pid noted there; 0 where there is none.
[[nodiscard]] pid_t noted_pid(const std::string& folder);

/// Notes the instance that a runner's programs carry in their marker: that of its first daemon, for its whole life.
void note_instance(const std::string& folder, const std::string& instance);
/// What a dead runner's slot file says.
[[nodiscard]] FoundRuns found_runs(const std::string& folder);
/// The same of what was running, as marks to find its processes by. None in a copy of a folder: whether the worker of the
/// original lives cannot be known here, and its programs are not ours to kill.
[[nodiscard]] std::vector<TreeMarks> begun_trees(const std::string& folder);

/// Removes the folder; the caller holds its lock.
void remove_worker_folder(const std::string& folder);

/// Names of the folders that are there.
[[nodiscard]] std::vector<std::string> list_worker_folders(const std::string& state_dir);

}  // namespace stint::worker
