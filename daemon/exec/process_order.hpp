// Between the daemon's words for a run and the runner's frames. Pure functions; throw only bad_alloc.
#pragma once

#include "common/zygote_protocol.hpp"
#include "daemon/exec/executor.hpp"

namespace stint::exec {

/// The order's specification must have a command or a shell line.
[[nodiscard]] worker::Begin make_begin(const Order& order);

[[nodiscard]] EndReport make_report(worker::RunEnded ended);

/// How it ended cannot be known; what lies of its output in `out_dir` is kept.
[[nodiscard]] EndReport make_lost_report(const worker::BegunRun& begun, std::string message, const std::string& out_dir);

}  // namespace stint::exec
