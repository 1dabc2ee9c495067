// The one place where the runner's children are reaped, and the question whether it has adopted any.
//
// Programs are children of the spawner's thread; orphans that the kernel gives to this subreaper are children of its
// first thread (kernel/exit.c, find_new_reaper: the first living thread of the subreaper). So `__WNOTHREAD` on the
// first thread sees the orphans alone: one system call proves that no program has left anything. First thread only.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <optional>

namespace stint::worker {

struct ChildExit {
  pid_t pid = 0;
  int status = 0;  ///< as waitpid gives it
  rusage usage{};
};

/// The next child that has ended, if any.
[[nodiscard]] std::optional<ChildExit> reap_child();

/// True while a process that some program left behind is alive. Reaps those that have ended.
[[nodiscard]] bool orphans_alive();

}  // namespace stint::worker
