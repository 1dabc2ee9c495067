// Starting a personal daemon for somebody who wants to run something and has none.
//
// The daemon gets a session of its own, no terminal, no descriptor of ours, a small environment and a rotated log in its
// state directory. Two at once start one (a lock beside the socket). Throws Failure 69 with the end of the log, or 78
// with what the daemon says of its configuration. Main thread.
#pragma once

#include "client/connection.hpp"

namespace stint::cli {

/// False where client.toml says `autostart = false`. Throws Failure 78 where the file is wrong.
[[nodiscard]] bool autostart_allowed();

/// Starts the daemon, unless somebody else just did, and connects to it; says so on standard error where `start` is `told`. One
/// that is just dying, and holds the state directory still, is waited for.
[[nodiscard]] Connection start_daemon(Connection::Start start);

}  // namespace stint::cli
