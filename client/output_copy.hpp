// Bytes of a job's output on their way to our descriptors, exactly as the job wrote them.
//
// Main thread. Throws RpcError, ConnectionLost, Failure where a stream cannot be written.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "client/connection.hpp"
#include "client/terminal.hpp"
#include "common/job.hpp"

namespace stint::cli {

/// Where a stream of a job goes: 1 or 2.
[[nodiscard]] int descriptor_of(StreamName name);

/// The bytes of an object with `data` and `encoding`: an output chunk, or the stdout of a record.
[[nodiscard]] std::string bytes_of(const nlohmann::json& object);

/// Parameters of job.output; attempt 0 is the newest.
[[nodiscard]] std::string output_request(JobId id, StreamName of, std::uint64_t offset, bool follow, stint::Attempt attempt = 0);

/// Copies what there is now, from `offset`, in chunks; `offset` grows with what was written, so that a copy can go on after
/// ConnectionLost. A stream that was not captured has nothing. Attempt 0 is the newest.
Written copy_output(Connection& connection, JobId id, StreamName of, std::uint64_t& offset, stint::Attempt attempt = 0);

}  // namespace stint::cli
