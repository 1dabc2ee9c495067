// The units of time in which people write and read durations, in seconds.
#pragma once

namespace stint::cli {

inline constexpr double minute = 60;
inline constexpr double hour = 60 * minute;
inline constexpr double day = 24 * hour;

}  // namespace stint::cli
