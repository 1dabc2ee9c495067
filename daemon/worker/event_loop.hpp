// The runner's event loop: descriptors, timers and work for the end of a turn, on raw epoll.
//
// Level-triggered. A Watch that goes away in the middle of a turn is not called any more. One thread; throws
// std::system_error where the kernel gives no epoll instance.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <unordered_set>
#include <vector>

#include "common/unique_fd.hpp"

namespace stint::worker {

using Clock = std::chrono::steady_clock;

class EventLoop;

/// One descriptor in the loop; its owner is called when it is ready. Removes itself when destroyed, which must be before
/// the descriptor is closed: a child that has not called exec yet may hold a copy, and the kernel would go on reporting.
class Watch {
 public:
  using OnReady = std::function<void(std::uint32_t events)>;

  Watch(EventLoop& loop, int fd, std::uint32_t events, OnReady on_ready);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void set_events(std::uint32_t events);

 private:
  friend class EventLoop;
  EventLoop& loop_;
  int fd_;
  std::uint32_t events_;
  OnReady on_ready_;
};

/// Calls back once at a time, on the loop. Cancelled when destroyed.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> on_due) : loop_(loop), on_due_(std::move(on_due)) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void arm(Clock::time_point due);
  void arm_in(Clock::duration delay) { arm(Clock::now() + delay); }
  void cancel();
  [[nodiscard]] bool is_armed() const { return armed_; }

 private:
  friend class EventLoop;
  EventLoop& loop_;
  std::function<void()> on_due_;
  Clock::time_point due_{};
  bool armed_ = false;
};

class EventLoop {
 public:
  EventLoop();

  /// Runs until `stop`. `end_of_turn` is called after each round of events, before the loop sleeps.
  void run(const std::function<void()>& end_of_turn);
  void stop() { stopped_ = true; }

 private:
  friend class Watch;
  friend class Timer;

  void fire_timers();
  [[nodiscard]] int timeout_ms() const;

  UniqueFd epoll_;
  std::set<std::pair<Clock::time_point, Timer*>> timers_;
  std::unordered_set<Watch*> gone_;  // destroyed during the present turn
  bool in_turn_ = false;
  bool stopped_ = false;
};

}  // namespace stint::worker
