// What a runner writes to a pool's worker and what it reads from it: one line of JSON each (PROTOCOL section 6).
//
// Nothing that a worker writes is trusted: what is no answer to the message is a BadLine that says why. Pure functions;
// throw only bad_alloc.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/json.hpp"
#include "common/pool_protocol.hpp"
#include "common/time.hpp"

namespace stint::worker {

/// With its LF.
[[nodiscard]] std::string message_line(const PoolMessage& message, std::optional<Time> deadline);

struct WorkerProgress {
  double value = 0;
  std::string text;
};
struct WorkerResult {
  std::string result;  ///< JSON
};
struct BadLine {
  std::string reason;  ///< goes on after "the pool's worker "
};
using WorkerLine = std::variant<WorkerProgress, WorkerResult, PoolFailure, BadLine>;

/// `line` without its LF, read as an answer to the message of job `id`.
[[nodiscard]] WorkerLine read_worker_line(json::Parser& parser, std::string_view line, JobId id);

}  // namespace stint::worker
