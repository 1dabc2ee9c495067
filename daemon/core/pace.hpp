// How fast the programs of a lane end and how long it takes to put the next one in place of one that ended: from both
// follows how many starts must be on their way ahead so that no slot stands idle meanwhile.
//
// While an end travels to the daemon, the next start is committed and travels back, a slot would be idle. For short
// programs that is most of the time, so starts are committed beyond the slots, as many as end in twice that time
// (ARCHITECTURE.md, decision 3). Only short ones do: a start that was handed to a runner goes when that runner has a slot,
// so with long programs people would see that another went first. A value: no clock, durations are told. Throws nothing.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>

#include "common/time.hpp"

namespace stint::core {

class Pace {
 public:
  static constexpr std::uint32_t ahead_max = 256;

  /// Programs that run longer go in order: their slots stand idle for a moment that nobody notices.
  static constexpr Duration longest_run = std::chrono::milliseconds(50);

  /// `hops`: from an end to the next start without any commit; zero turns starts ahead off. `company`: how long an end may
  /// wait on its way for others.
  explicit Pace(Duration hops, Duration company = {}) : hops_(hops), company_(company) {}

  void note_run(Duration run) {
    const double seconds = std::max(to_seconds(run), 0.0);
    mean_run_ = known_ ? mean_run_ + (seconds - mean_run_) / weight : seconds;
    known_ = true;
  }
  /// A slow one counts at once, so that slots do not idle while the disk is slow; quick ones are believed by and by.
  void note_commit(Duration commit) {
    const double seconds = std::max(to_seconds(commit), 0.0);
    commit_ = seconds > commit_ ? seconds : commit_ + (seconds - commit_) / weight;
  }

  /// Starts beyond `capacity` that are worth having: none where a slot's idle time would not be noticed.
  [[nodiscard]] std::uint32_t ahead(std::uint32_t capacity) const {
    if (!known_ || capacity == 0 || hops_ <= Duration::zero()) return 0;
    const double worth = 2 * (to_seconds(hops_) + commit_);
    if (worth * noticed < mean_run_ || mean_run_ > to_seconds(longest_run)) return 0;
    const double starts = std::ceil((worth + 2 * to_seconds(company_)) * capacity / std::max(mean_run_, shortest_run));
    return static_cast<std::uint32_t>(std::min<double>(starts, ahead_max));
  }

  /// When nothing has begun for so long, what runs now is not what was measured.
  [[nodiscard]] Duration stalled_after() const {
    const double waited = 2 * (to_seconds(hops_ + company_) + commit_ + mean_run_);
    return std::max<Duration>(stall_min, std::chrono::duration_cast<Duration>(std::chrono::duration<double>(waited)));
  }
  /// Nothing is known: what ends next tells anew.
  void forget() { known_ = false; }

 private:
  static constexpr double weight = 16;           // runs, and commits, that the mean looks back on
  static constexpr double noticed = 20;          // a twentieth of a run
  static constexpr double shortest_run = 20e-6;  // seconds
  static constexpr Duration stall_min = std::chrono::milliseconds(25);

  Duration hops_;
  Duration company_;
  double commit_ = 0;
  double mean_run_ = 0;
  bool known_ = false;
};

}  // namespace stint::core
