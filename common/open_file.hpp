// Opening what may not be there, without taking a failure for that.
#pragma once

#include <fcntl.h>

#include <string>

#include "common/unique_fd.hpp"

namespace stint {

/// Opens a regular file, with O_CLOEXEC and O_NOFOLLOW; empty where there is none of that name. Throws Error `unavailable` where
/// it cannot be opened for any other reason: want of descriptors must not pass for "nothing has been started".
[[nodiscard]] UniqueFd open_if_there(const std::string& path, int flags = O_RDONLY);

}  // namespace stint
