// What is to happen at a time: who waits for one is parked here and nowhere else, and is touched again when it has come.
//
// A line a kind, ordered by time, so an entry costs 16 bytes. Knows neither a clock nor what its numbers stand for. A value;
// throws std::bad_alloc only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "daemon/core/line.hpp"

namespace stint::core {

/// What an entry's number stands for is said by its kind.
enum class Alarm : std::uint8_t {
  store,    ///< 0: the store may be asked for new work again
  wake,     ///< a job: it has waited long enough
  expire,   ///< a job: too late to start
  reclaim,  ///< a lease: whoever held it before the daemon's start has not come back
  stall,    ///< 0: it is looked whether programs still begin where some were started ahead
};
inline constexpr std::size_t alarm_count = 5;

class Timetable {
 public:
  struct Entry {
    Alarm alarm{};
    std::uint64_t number = 0;
  };

  /// Returns the time where nothing that is set comes before it and nobody was told of one so early: the timer is to be set.
  [[nodiscard]] std::optional<Time> set(Alarm alarm, Time at, std::uint64_t number) {
    line(alarm).insert(place(at, number));
    return told(at);
  }
  /// It may have come meanwhile.
  void clear(Alarm alarm, Time at, std::uint64_t number) { line(alarm).erase(place(at, number)); }

  /// The timer has gone off: what is set from now on is told again.
  void rang() { told_.reset(); }
  /// One whose time has come, of the earlier kinds first.
  [[nodiscard]] std::optional<Entry> take_due(Time now) {
    for (std::size_t i = 0; i < alarm_count; ++i) {
      Line& each = lines_.at(i);
      if (each.empty() || each.front().key > micros(now)) continue;
      const std::uint64_t number = each.front().id;
      each.pop_front();
      return Entry{static_cast<Alarm>(i), number};
    }
    return std::nullopt;
  }
  /// As set(): for what is left once the timer has gone off.
  [[nodiscard]] std::optional<Time> next() {
    std::optional<std::int64_t> first;
    for (const Line& each : lines_) {
      if (!each.empty() && (!first || each.front().key < *first)) first = each.front().key;
    }
    return first ? told(Time{Duration{*first}}) : std::nullopt;
  }

  [[nodiscard]] bool contains(Alarm alarm, Time at, std::uint64_t number) const {
    return lines_.at(static_cast<std::size_t>(alarm)).contains(place(at, number));
  }
  [[nodiscard]] std::uint64_t size(Alarm alarm) const { return lines_.at(static_cast<std::size_t>(alarm)).size(); }
  void check() const {
    for (const Line& each : lines_) each.check();
  }

 private:
  static std::int64_t micros(Time at) { return at.time_since_epoch().count(); }
  static Place place(Time at, std::uint64_t number) { return {micros(at), number}; }
  Line& line(Alarm alarm) { return lines_.at(static_cast<std::size_t>(alarm)); }
  std::optional<Time> told(Time at) {
    if (told_ && *told_ <= at) return std::nullopt;
    told_ = at;
    return at;
  }

  std::array<Line, alarm_count> lines_;
  std::optional<Time> told_;  // what the timer is set to
};

}  // namespace stint::core
