// clone3 with a stack of its own, which glibc does not export.
//
// The child runs `body(argument)` on that stack, in the caller's memory, and exits with what it returns; the caller is
// held until the child has called exec or exited. Falls back to glibc's clone() where the kernel has no clone3 or the
// processor is none that is known here. Any thread.
#pragma once

#include <sys/types.h>

namespace stint::worker {

/// The child's pid, or -1 with errno.
[[nodiscard]] pid_t clone_child(int (*body)(void*), void* argument);

}  // namespace stint::worker
