// The zygote: the first, empty worker, which forks all others because nobody with threads or a large heap should.
//
// It takes orders from the daemon on one socket: start a worker, look through what earlier daemons left, clear up after a
// dead one. It is the parent of its workers and adopts what they lose: a death is reported only when everything that the
// worker had begun is gone. The folder of a dead runner that tells of runs stays until the daemon has them on record. When
// the daemon closes the socket, or dies, it waits for its hosts, leaves its runners alone and ends. One thread, blocking,
// no Asio.
#pragma once

#include <functional>
#include <string>

#include "common/unique_fd.hpp"
#include "daemon/worker/runner.hpp"

namespace stint::worker {

/// What a forked worker runs; its value is the exit code.
struct WorkerMains {
  std::function<int(WorkerPlace)> runner;
  std::function<int(WorkerPlace)> host;
};

[[nodiscard]] int zygote_main(UniqueFd control, const std::string& state_dir, const WorkerMains& mains);

}  // namespace stint::worker
