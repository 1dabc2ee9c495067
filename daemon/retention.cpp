#include "daemon/retention.hpp"

#include <algorithm>
#include <utility>

namespace stint {
namespace {

constexpr std::uint64_t ends_between_looks = 1'024;
constexpr std::size_t page_jobs = 1'024;
constexpr Duration soon = std::chrono::minutes(1);
constexpr Duration longest = std::chrono::hours(1);

}  // namespace

Retention::Retention(boost::asio::io_context& io, db::Store& store, feed::Feed& feed, db::Retention bounds, Forget forget)
    : store_(store), feed_(feed), bounds_(bounds), forget_(std::move(forget)), timer_(io) {}

void Retention::note_finished(const core::FinishedJob& job) {
  if (job.spec->keep) own_.insert(std::chrono::ceil<std::chrono::seconds>(job.finished_at + *job.spec->keep));
  if (++finished_ >= ends_between_looks) return look();
  arm(std::min(bounds_.age, soon));
}

void Retention::arm(Duration delay) {
  if (closed_) return;
  if (!own_.empty()) delay = std::clamp(*own_.begin() - wall_now(), Duration{0}, delay);
  const auto at = std::chrono::steady_clock::now() + delay;
  if (armed_for_ && *armed_for_ <= at) return;
  armed_for_ = at;
  timer_.expires_at(at);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    armed_for_.reset();
    look();
  });
}

void Retention::look() {
  if (looking_ || closed_) return;
  looking_ = true;
  finished_ = 0;
  const Time now = wall_now();
  own_.erase(own_.begin(), own_.lower_bound(now));
  // Those that an earlier daemon has stored, too.
  store_.next_keep_end(now, [this](std::optional<Time> next) {
    if (!next) return;
    own_.insert(std::chrono::ceil<std::chrono::seconds>(*next));
    arm(longest);
  });
  store_.overdue(bounds_, now, page_jobs, [this](const std::vector<JobId>& ids) {
    store_.get(ids, [this, full = ids.size() == page_jobs](const std::vector<db::Found>& found) { drop(found, full); });
  });
}

void Retention::drop(const std::vector<db::Found>& overdue, bool more) {
  looking_ = false;
  if (closed_) return;
  std::vector<JobId> ids;
  for (const db::Found& row : overdue) {
    if (row.job && !feed_.awaits(*row.job)) ids.push_back(row.job->id);
  }
  const bool dropped = !ids.empty();
  if (dropped) forget_(std::move(ids));
  if (more && dropped) return look();
  // Old age comes without any event; what a stream still waits for is looked at again soon.
  arm(overdue.empty() ? std::min(bounds_.age, longest) : soon);
}

void Retention::close() {
  closed_ = true;
  timer_.cancel();
}

}  // namespace stint
