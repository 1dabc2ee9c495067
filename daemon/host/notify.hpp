// Tells the service manager how far the daemon is (sd_notify(3), without libsystemd).
//
// Does nothing where NOTIFY_SOCKET is not set, and never waits: a manager that does not read costs us nothing. Any
// thread; throws nothing.
#pragma once

#include <string_view>

namespace stint::host {

/// Sends assignments separated by LF, for example "READY=1" or "STOPPING=1\nSTATUS=draining". False where nobody listens.
bool notify(std::string_view assignments) noexcept;

}  // namespace stint::host
