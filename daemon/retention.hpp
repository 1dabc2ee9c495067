// How long finished jobs are kept: drops the oldest that are past a bound, but never what an open stream still has to hand
// over; it looks past that.
//
// Looks when a job comes of age, and within a second of an end that exceeds a number or a size, at once after so many: a bound is
// exceeded for a second and not for longer than the dropping itself takes. What streams hold up is looked at again, with what
// lies among it, after a second for each 1,024 jobs, a minute at most. An idle daemon is not woken for it more than once in the
// longest interval. I/O thread only; throws only bad_alloc.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <optional>
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
  void arm(Time at);
  /// As far as is known: what is forgotten otherwise counts until the next look.
  [[nodiscard]] bool too_much() const;
  void next_page();
  void drop(const db::Overdue& page, const std::vector<db::Found>& found);
  void end_look(const db::Overdue& page, bool all_seen);

  db::Store& store_;
  feed::Feed& feed_;
  db::Retention bounds_;
  Forget forget_;
  boost::asio::steady_timer timer_;
  db::KeptTotals kept_;               // after the newest page, without what is passed over
  db::KeptTotals since_;              // that ended since it was asked for
  db::PassedOver passed_;             // what streams hold up: the next look goes on behind it
  std::optional<Time> passed_until_;  // then it is looked at again
  std::size_t fruitless_pages_ = 0;   // of this look
  std::optional<std::chrono::steady_clock::time_point> armed_for_;
  bool looking_ = false;
  bool closed_ = false;
};

}  // namespace stint
