// How a run ended, as its slot record keeps it: what is known of it should its runner die before the daemon was told.
//
// Pure functions; throw only bad_alloc.
#pragma once

#include "common/slot_file.hpp"
#include "common/worker_protocol.hpp"

namespace stint::worker {

/// Makes the record one of an ended run.
void note_end(SlotRecord& record, const RunEnded& ended);

/// The other way. Output that was not in a file died with its runner: its size is known, its content is not.
[[nodiscard]] RunEnded ended_of(const SlotRecord& record);

}  // namespace stint::worker
