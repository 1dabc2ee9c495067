// How a run ended, as its slot record keeps it: what is known of it should its runner die before the daemon was told.
//
// Pure functions; throw only bad_alloc.
#pragma once

#include "common/slot_file.hpp"
#include "common/zygote_protocol.hpp"

namespace stint::worker {

/// Puts into the record of a run that goes on what of its output lies in files.
void note_outputs(SlotRecord& record, const std::optional<KeptStream>& out, const std::optional<KeptStream>& err);

/// Makes the record one of an ended run.
void note_end(SlotRecord& record, const RunEnded& ended);

/// What is known of a run that had begun when its runner died.
[[nodiscard]] BegunRun begun_of(const SlotRecord& record);

/// The same of one that had ended. Output that was not in a file died with its runner: its size is known, its content is not.
[[nodiscard]] RunEnded ended_of(const SlotRecord& record);

}  // namespace stint::worker
