// RLIMIT_NOFILE, whose soft limit is low for the sake of programs that use select(2), which none of ours does.
#pragma once

#include <sys/resource.h>

namespace stint {

/// Of this process.
[[nodiscard]] rlimit open_files_limit();

/// Raises the soft limit to the hard one; gives the limit as it was: programs of others are to get that.
rlimit raise_open_files_limit();

}  // namespace stint
