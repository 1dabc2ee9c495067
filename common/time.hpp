// Times and durations: microseconds inside, seconds with a fraction on the wire.
#pragma once

#include <chrono>
#include <cstdint>

namespace stint {

using Duration = std::chrono::microseconds;
/// Wall-clock time since the epoch.
using Time = std::chrono::sys_time<std::chrono::microseconds>;

[[nodiscard]] inline Time wall_now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

[[nodiscard]] inline double to_seconds(Duration value) { return static_cast<double>(value.count()) / 1e6; }
[[nodiscard]] inline Duration from_seconds(double seconds) {
  return Duration{static_cast<std::int64_t>(seconds * 1e6 + (seconds < 0 ? -0.5 : 0.5))};
}

}  // namespace stint
