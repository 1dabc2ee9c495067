#include "daemon/exec/deadlines.hpp"

namespace stint::exec {

Deadlines::Deadlines(boost::asio::io_context& io, std::function<void(Entry)> on_due) : on_due_(std::move(on_due)), timer_(io) {}

Deadlines::~Deadlines() { *alive_ = false; }

Deadlines::Handle Deadlines::add(Duration from_now, Entry entry) {
  // Ten years from now is as good as never, and nothing overflows.
  const auto handle = entries_.emplace(Clock::now() + from_now, entry);
  arm();
  return handle;
}

void Deadlines::remove(Handle handle) {
  entries_.erase(handle);
  // Left armed where others wait: an early look costs less than a cancel. An idle daemon must not be woken at all.
  if (entries_.empty()) {
    timer_.cancel();
    armed_for_ = Clock::time_point::max();
  }
}

void Deadlines::arm() {
  if (entries_.empty() || entries_.begin()->first >= armed_for_) return;
  armed_for_ = entries_.begin()->first;
  timer_.expires_at(armed_for_);
  timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (!error && *alive) expire();
  });
}

void Deadlines::expire() {
  const auto now = Clock::now();
  if (now < armed_for_) return;  // of a wait that has been replaced
  armed_for_ = Clock::time_point::max();
  while (!entries_.empty() && entries_.begin()->first <= now) {
    const Entry entry = entries_.begin()->second;
    entries_.erase(entries_.begin());
    on_due_(entry);
  }
  arm();
}

}  // namespace stint::exec
