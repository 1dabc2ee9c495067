#include "daemon/worker/event_loop.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <system_error>

namespace stint::worker {

Watch::Watch(EventLoop& loop, int fd, std::uint32_t events, OnReady on_ready)
    : loop_(loop), fd_(fd), events_(events), on_ready_(std::move(on_ready)) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = this;
  if (::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_ADD, fd_, &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
  // The allocator may have given this object the place of one that went in this turn.
  loop_.gone_.erase(this);
}

Watch::~Watch() {
  ::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_DEL, fd_, nullptr);
  if (loop_.in_turn_) loop_.gone_.insert(this);
}

void Watch::set_events(std::uint32_t events) {
  if (events == events_) return;
  events_ = events;
  epoll_event event{};
  event.events = events;
  event.data.ptr = this;
  ::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_MOD, fd_, &event);
}

void Timer::arm(Clock::time_point due) {
  cancel();
  due_ = due;
  armed_ = true;
  loop_.timers_.emplace(due, this);
}

void Timer::cancel() {
  if (!armed_) return;
  armed_ = false;
  loop_.timers_.erase({due_, this});
}

EventLoop::EventLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

void EventLoop::run(const std::function<void()>& end_of_turn) {
  std::array<epoll_event, 256> events{};
  while (!stopped_) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms());
    in_turn_ = true;
    for (int i = 0; i < count; ++i) {
      auto* watch = static_cast<Watch*>(events.at(static_cast<std::size_t>(i)).data.ptr);
      if (gone_.contains(watch)) continue;
      const Watch::OnReady on_ready = watch->on_ready_;  // a copy: the call may destroy the watch
      on_ready(events.at(static_cast<std::size_t>(i)).events);
    }
    fire_timers();
    end_of_turn();
    gone_.clear();
    in_turn_ = false;
  }
}

void EventLoop::fire_timers() {
  if (timers_.empty()) return;
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    Timer* timer = timers_.begin()->second;
    timer->cancel();
    const std::function<void()> on_due = timer->on_due_;  // a copy: the call may destroy the timer
    on_due();
  }
}

int EventLoop::timeout_ms() const {
  if (timers_.empty()) return -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(wait, 0, std::numeric_limits<int>::max()));
}

}  // namespace stint::worker
