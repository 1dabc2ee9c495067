// All deadlines of an executor's runs on one timer.
//
// An asio timer a job would cost a wait of the reactor each; here a deadline is a node of an ordered map, and only the
// earliest arms the timer. One thread. Throws nothing but bad_alloc.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>

#include "common/job.hpp"

namespace stint::exec {

enum class Due : std::uint8_t {
  timeout,   ///< the run has had its time
  grace,     ///< it was told to stop and has had its grace
  progress,  ///< time to look for newer progress
};

class Deadlines {
 public:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    JobId id = 0;
    Due due{};
  };
  using Handle = std::multimap<Clock::time_point, Entry>::iterator;

  Deadlines(boost::asio::io_context& io, std::function<void(Entry)> on_due);
  ~Deadlines();
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;

  /// The handle is good until `on_due` is called for it or it is removed.
  [[nodiscard]] Handle add(Duration from_now, Entry entry);
  void remove(Handle handle);

 private:
  void arm();
  void expire();

  std::multimap<Clock::time_point, Entry> entries_;
  std::function<void(Entry)> on_due_;
  boost::asio::steady_timer timer_;
  Clock::time_point armed_for_ = Clock::time_point::max();
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace stint::exec
