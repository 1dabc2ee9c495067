// Ends of programs that are not on record yet: kept, and told to each daemon that comes, until one says that they are.
//
// While there is no daemon, what an end carries of a durable program's output is put into files, and the slot file says so: a
// runner that has nothing left to run ends. Where the disk has no room for it, that is tried again for half a minute.
// The runner's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "common/runner_protocol.hpp"
#include "common/slot_file.hpp"
#include "daemon/worker/event_loop.hpp"

namespace stint::worker {

class UnrecordedEnds {
 public:
  /// `hello`: of the newest daemon; its `out_dir` is where the files go.
  UnrecordedEnds(EventLoop& loop, SlotFile& slots, const Hello& hello);

  /// A daemon is there, or it is gone.
  void daemon_came();
  void daemon_gone();

  /// The end of a run of `order`, before its slot says so: to files with its output, if there is no daemon.
  void secure(const Begin& order, RunEnded& ended);
  void add(std::size_t slot, const Begin& order, RunEnded ended);
  [[nodiscard]] bool contains(const Run& run) const { return ends_.contains(run); }
  /// It is on record; its slot, which is free now, or nothing where the run is not known.
  std::optional<std::size_t> take(const Run& run);
  template <class Visit>
  void each(Visit&& visit) const {
    for (const auto& [run, end] : ends_) visit(end.ended);
  }

  /// An output is still to be put into its file.
  [[nodiscard]] bool is_trying() const { return timer_.is_armed(); }

 private:
  struct End {
    std::size_t slot = 0;
    std::uint64_t output_limit = 0;
    bool durable = true;
    RunEnded ended;
  };

  /// False where some could not be written.
  bool spill_outputs(RunEnded& ended, std::uint64_t limit) const;
  void spill_all();

  SlotFile& slots_;
  const Hello& hello_;
  std::map<Run, End> ends_;
  bool alone_ = true;
  int tries_left_ = 0;
  Timer timer_;
};

}  // namespace stint::worker
