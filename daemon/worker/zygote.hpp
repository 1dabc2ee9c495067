// The zygote: the first, empty worker, which forks all others because nobody with threads or a large heap should.
//
// It takes orders from the daemon on one socket: start a worker, sweep what earlier daemons left. It is the parent of
// all workers and adopts what they lose: a worker's death is reported only when everything that it had begun is gone.
// When the daemon closes the socket it waits for its workers, clears up and ends. One thread, blocking, no Asio.
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
