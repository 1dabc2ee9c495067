// The host: a process that runs registered tasks for the daemon, one at a time, so that a crash ends nothing else.
//
// The main thread talks with the daemon, a second one runs the task's blocking form. It lives as long as its
// connection: at end of file it leaves at once, also in the middle of a task. It starts no processes and keeps no
// state. Called in a process of its own that has no other thread yet.
#pragma once

#include "common/task_api.hpp"

namespace stint::worker {

/// Accepts one connection of the SOCK_SEQPACKET listener, serves it and returns the exit status. Does not return where
/// the connection ends while a task runs: the process ends then.
int host_main(int listen_fd, const TaskRegistry& tasks);

}  // namespace stint::worker
