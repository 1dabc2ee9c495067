// EndReport as bytes for the database: compact, versioned by its first byte, output as it is.
//
// A format on disk: what was ever written stays readable; additions take a new version byte. Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>

#include "common/job.hpp"

namespace stint::db {

/// Appends the report. `finished_at` is the job's own; one that is the same costs nothing.
void encode_end(std::string& out, const EndReport& report, Time finished_at);

/// Throws StoreFailure where the bytes are none of encode_end().
[[nodiscard]] EndReport decode_end(std::string_view bytes, Time finished_at);

}  // namespace stint::db
