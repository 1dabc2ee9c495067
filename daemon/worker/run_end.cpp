#include "daemon/worker/run_end.hpp"

#include <sys/wait.h>

namespace stint::worker {
namespace {

std::uint32_t flags_of(const std::optional<KeptStream>& kept) {
  if (!kept) return 0;
  return SlotRecord::captured | (kept->truncated ? SlotRecord::truncated : 0U) | (kept->in_file ? SlotRecord::in_file : 0U);
}

std::optional<KeptStream> stream_of(std::uint32_t flags, std::uint64_t bytes) {
  if ((flags & SlotRecord::captured) == 0) return std::nullopt;
  KeptStream kept;
  kept.bytes = bytes;
  kept.in_file = (flags & SlotRecord::in_file) != 0;
  kept.truncated = (flags & SlotRecord::truncated) != 0 || (!kept.in_file && bytes > 0);
  return kept;
}

/// As waitpid gives it.
int wait_status_of(const RunEnded& ended) { return ended.ending == Ending::signalled ? ended.code : ended.code << 8; }

}  // namespace

void note_outputs(SlotRecord& record, const std::optional<KeptStream>& out, const std::optional<KeptStream>& err) {
  record.flags = flags_of(out) | flags_of(err) << SlotRecord::of_stderr;
  record.stdout_bytes = out ? out->bytes : 0;
  record.stderr_bytes = err ? err->bytes : 0;
}

void note_end(SlotRecord& record, const RunEnded& ended) {
  record.state = SlotState::ended;
  record.status = ended.ending == Ending::not_started ? ended.code : wait_status_of(ended);
  note_outputs(record, ended.out, ended.err);
  if (ended.timed_out) record.flags |= SlotRecord::timed_out;
  if (ended.stopped) record.flags |= SlotRecord::stopped;
  if (ended.ending == Ending::not_started) record.flags |= SlotRecord::not_started;
  record.user_us = static_cast<std::uint64_t>(ended.user.count());
  record.system_us = static_cast<std::uint64_t>(ended.system.count());
  record.max_rss = ended.max_rss;
  record.started_at_us = ended.started_at.time_since_epoch().count();
  record.finished_at_us = ended.finished_at.time_since_epoch().count();
}

BegunRun begun_of(const SlotRecord& record) {
  return {{record.job, record.attempt},
          stream_of(record.flags, record.stdout_bytes),
          stream_of(record.flags >> SlotRecord::of_stderr, record.stderr_bytes)};
}

RunEnded ended_of(const SlotRecord& record) {
  RunEnded ended;
  ended.run = {record.job, record.attempt};
  if ((record.flags & SlotRecord::not_started) != 0) {
    ended.ending = Ending::not_started;
    ended.code = record.status;
    ended.message = "the program could not be started; its runner ended before it could say why";
  } else {
    const int status = record.status;
    ended.ending = WIFSIGNALED(status) ? Ending::signalled : Ending::exited;
    ended.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  }
  ended.timed_out = (record.flags & SlotRecord::timed_out) != 0;
  ended.stopped = (record.flags & SlotRecord::stopped) != 0;
  ended.user = Duration(record.user_us);
  ended.system = Duration(record.system_us);
  ended.max_rss = record.max_rss;
  ended.out = stream_of(record.flags, record.stdout_bytes);
  ended.err = stream_of(record.flags >> SlotRecord::of_stderr, record.stderr_bytes);
  ended.started_at = Time(Duration(record.started_at_us));
  ended.finished_at = Time(Duration(record.finished_at_us));
  return ended;
}

}  // namespace stint::worker
