// How long finished jobs are kept: drops the oldest that are past a bound, but never what an open stream still has to hand
// over.
//
// Looks after so many ends, and a while after the last one; an idle daemon is not woken for it more than once in the
// longest interval. I/O thread only; throws only bad_alloc.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "daemon/db/store.hpp"
#include "daemon/feed/feed.hpp"

namespace stint {

class Retention {
 public:
  using Forget = std::function<void(std::vector<JobId>)>;

  /// `forget` drops the records and their output.
  Retention(boost::asio::io_context& io, db::Store& store, feed::Feed& feed, db::Retention bounds, Forget forget);

  void note_finished(const core::FinishedJob& job);
  /// Looks now; then again while there is more to drop.
  void look();
  void close();

 private:
  /// After `delay`, or before, where a job was to be kept less long.
  void arm(Duration delay);
  void drop(const std::vector<db::Found>& overdue, bool more);

  db::Store& store_;
  feed::Feed& feed_;
  db::Retention bounds_;
  Forget forget_;
  boost::asio::steady_timer timer_;
  std::uint64_t finished_ = 0;  // since the last look
  std::set<Time> own_;  // when those go that say themselves how long they are kept, in whole seconds; since the start, and the
                        // next of those before
  std::optional<std::chrono::steady_clock::time_point> armed_for_;
  bool looking_ = false;
  bool closed_ = false;
};

}  // namespace stint
