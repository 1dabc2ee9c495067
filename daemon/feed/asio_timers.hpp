// Timers on an io_context: what the daemon gives to its feed.
//
// Must be destroyed before the io_context and after the last turn of its loop. I/O thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "daemon/feed/timers.hpp"

namespace stint::feed {

class AsioTimers final : public Timers {
 public:
  explicit AsioTimers(boost::asio::io_context& io) : io_(io), timer_(io) {}

  [[nodiscard]] Clock::time_point now() const override { return Clock::now(); }

  void arm(Clock::time_point at, std::function<void()> fire) override {
    timer_.expires_at(at);
    timer_.async_wait([fire = std::move(fire)](const boost::system::error_code& error) {
      if (!error) fire();
    });
  }

  void disarm() override { timer_.cancel(); }

  void post(std::function<void()> work) override { boost::asio::post(io_, std::move(work)); }

 private:
  boost::asio::io_context& io_;
  boost::asio::steady_timer timer_;
};

}  // namespace stint::feed
