// The feed's clock: the one timer that it needs, and a way to go on in the next turn of the loop.
//
// An interface, so that tests drive the time; AsioTimers (asio_timers.hpp) is the real one. I/O thread only.
#pragma once

#include <chrono>
#include <functional>

namespace stint::feed {

class Timers {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~Timers() = default;
  [[nodiscard]] virtual Clock::time_point now() const = 0;
  /// Calls `fire` once at `at`; a new call replaces the one before.
  virtual void arm(Clock::time_point at, std::function<void()> fire) = 0;
  /// Nothing is armed any more.
  virtual void disarm() = 0;
  /// Calls `work` in a later turn of the loop.
  virtual void post(std::function<void()> work) = 0;
};

}  // namespace stint::feed
