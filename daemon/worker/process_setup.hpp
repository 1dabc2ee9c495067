// What zygote, runners and hosts do to their own process at its start. Before any thread exists.
#pragma once

#include <initializer_list>
#include <string_view>

#include "common/unique_fd.hpp"

namespace stint::worker {

/// No signal is ignored any more (programs would inherit that; handlers end with exec). Blocked are those that are to end nothing
/// here: a peer that is gone (SIGPIPE), a limit of the size of files (SIGXFSZ), what a terminal sends; and the `more`.
void reset_signals(std::initializer_list<int> more);

/// Readable when a child has changed its state; SIGCHLD must be blocked. Throws std::system_error.
[[nodiscard]] UniqueFd child_signal_fd();

/// Orphans of this process's descendants become its children.
void become_subreaper();

/// One line on standard error, which is the daemon's.
void say(std::string_view message);

}  // namespace stint::worker
