// What one would write by hand instead of using a service: loops that run a program n times, p at once.
//
// posix_spawn throughout. Throw std::runtime_error where a program cannot be started or fails.
#pragma once

#include <string>
#include <vector>

namespace stint::bench {

/// Both outputs of each run are captured through pipes, by epoll, and its usage is taken with wait4. `threads` loops share
/// the runs and the slots: a vfork holds its thread until the exec, so one thread does not always keep two processors
/// busy. Seconds.
[[nodiscard]] double capturing_loop(const std::vector<std::string>& command, int runs, int at_once, int threads);
/// Nothing is captured: output goes to /dev/null. Seconds.
[[nodiscard]] double bare_loop(const std::vector<std::string>& command, int runs, int at_once);
/// `seq | xargs -P`, one process a run. Seconds.
[[nodiscard]] double xargs(const std::vector<std::string>& command, int runs, int at_once);

}  // namespace stint::bench
