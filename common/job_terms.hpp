// The words for a job that plug-ins need too: how it is numbered and where it runs.
#pragma once

#include <cstdint>

namespace stint {

using JobId = std::uint64_t;    ///< 1 … 2^53-1, only grows
using Seq = std::uint64_t;      ///< completion order, 1 … 2^53-1
using Attempt = std::uint32_t;  ///< 1 for the first run

enum class ExecutorKind : std::uint8_t { process, thread, coroutine, cluster };

}  // namespace stint
