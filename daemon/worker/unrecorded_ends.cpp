#include "daemon/worker/unrecorded_ends.hpp"

#include <chrono>
#include <string>
#include <utility>

#include "daemon/worker/capture.hpp"
#include "daemon/worker/run_end.hpp"

namespace stint::worker {
namespace {

using namespace std::chrono_literals;

/// How soon, and how often, it is tried again to put an output into a file where that has failed.
constexpr Clock::duration spill_pause = 2s;
constexpr int spill_tries_max = 15;

bool is_spilled(const RunEnded& ended) {
  return (!ended.out || ended.out->content.empty()) && (!ended.err || ended.err->content.empty());
}

}  // namespace

UnrecordedEnds::UnrecordedEnds(EventLoop& loop, SlotFile& slots, const Hello& hello)
    : slots_(slots), hello_(hello), timer_(loop, [this] { spill_all(); }) {}

void UnrecordedEnds::daemon_came() {
  alone_ = false;
  timer_.cancel();
}

void UnrecordedEnds::daemon_gone() {
  alone_ = true;
  tries_left_ = spill_tries_max;
  spill_all();
}

void UnrecordedEnds::secure(const Begin& order, RunEnded& ended) {
  // Where it fails it is tried again, once it has been added.
  if (alone_ && order.durable) static_cast<void>(spill_outputs(ended, order.output_limit));
}

void UnrecordedEnds::add(std::size_t slot, const Begin& order, RunEnded ended) {
  if (alone_ && order.durable && !is_spilled(ended)) {
    tries_left_ = spill_tries_max;
    if (!timer_.is_armed()) timer_.arm_in(spill_pause);
  }
  ends_.emplace(order.run, End{slot, order.output_limit, order.durable, std::move(ended)});
}

std::optional<std::size_t> UnrecordedEnds::take(const Run& run) {
  const auto found = ends_.find(run);
  if (found == ends_.end()) return std::nullopt;
  const std::size_t slot = found->second.slot;
  ends_.erase(found);
  return slot;
}

bool UnrecordedEnds::spill_outputs(RunEnded& ended, std::uint64_t limit) const {
  const auto path = [&](StreamName of) { return output_path(hello_.out_dir, ended.run.job, ended.run.attempt, of); };
  const bool out = !ended.out || spill(*ended.out, limit, path(StreamName::out));
  const bool err = !ended.err || spill(*ended.err, limit, path(StreamName::err));
  return out && err;
}

void UnrecordedEnds::spill_all() {
  bool failed = false;
  for (auto& [run, end] : ends_) {
    if (!end.durable || is_spilled(end.ended)) continue;
    failed = !spill_outputs(end.ended, end.output_limit) || failed;
    SlotRecord record = slots_.read(end.slot);
    if (record.state != SlotState::ended) continue;
    note_end(record, end.ended);
    // The room for it is there; on a disk that fails, a later take-over is less exact.
    static_cast<void>(slots_.write(end.slot, record));
  }
  if (failed && --tries_left_ >= 0) timer_.arm_in(spill_pause);
}

}  // namespace stint::worker
