#include "daemon/retention.hpp"

#include <algorithm>
#include <utility>

#include "daemon/db/age.hpp"

namespace stint {
namespace {

constexpr std::uint64_t ends_between_looks = 1'024;
constexpr std::size_t page_jobs = 1'024;
/// So many pages in a row of what streams hold up are passed over in one look; the next one goes on.
constexpr std::size_t fruitless_pages_max = 4;
constexpr Duration lateness = std::chrono::seconds(1);
/// What streams hold up is looked at again after so long a page of it: they may have gone on.
constexpr Duration page_pause = std::chrono::seconds(1);
constexpr Duration held_up_pause_max = std::chrono::minutes(1);
constexpr Duration longest = std::chrono::hours(1);

}  // namespace

Retention::Retention(boost::asio::io_context& io, db::Store& store, feed::Feed& feed, db::Retention bounds, Forget forget)
    : store_(store), feed_(feed), bounds_(bounds), forget_(std::move(forget)), timer_(io) {}

void Retention::note_finished(const core::FinishedJob& job) {
  since_ = db::plus(since_, {1, core::kept_output_bytes(job.end, *job.spec)});
  Time next = job.finished_at + job.spec->keep.value_or(bounds_.age);
  // What its earlier attempts have left is known to the store alone.
  if (too_much() || job.attempt > 1) {
    if (since_.jobs >= ends_between_looks) return look();
    next = std::min(next, wall_now() + lateness / 2);
  }
  arm(next);
}

bool Retention::too_much() const { return db::exceeds(db::plus(kept_, since_), bounds_); }

// To the next half of a second, so that many that come of age one after the other are one look.
void Retention::arm(Time at) {
  if (closed_) return;
  constexpr Duration grain = lateness / 2;
  at = Time{(at.time_since_epoch() / grain + 1) * grain};
  const auto when = std::chrono::steady_clock::now() + std::clamp(at - wall_now(), Duration{0}, longest);
  if (armed_for_ && *armed_for_ <= when) return;
  armed_for_ = when;
  timer_.expires_at(when);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    armed_for_.reset();
    look();
  });
}

void Retention::look() {
  if (looking_ || closed_) return;
  looking_ = true;
  fruitless_pages_ = 0;
  if (passed_until_ && *passed_until_ <= wall_now()) {
    passed_ = {};
    passed_until_.reset();
  }
  next_page();
}

void Retention::next_page() {
  since_ = {};
  store_.overdue(bounds_, wall_now(), passed_, page_jobs, [this](const db::Overdue& page) {
    kept_ = page.totals;
    if (page.jobs.empty()) return end_look(page, true);
    std::vector<JobId> ids;
    for (const db::Aged& job : page.jobs) ids.push_back(job.id);
    store_.get(std::move(ids), [this, page](const std::vector<db::Found>& found) { drop(page, found); });
  });
}

void Retention::drop(const db::Overdue& page, const std::vector<db::Found>& found) {
  if (closed_) return;
  std::vector<JobId> ids;
  for (std::size_t i = 0; i < found.size(); ++i) {
    kept_ = db::without(kept_, {1, page.jobs[i].kept_bytes});
    if (!found[i].job) continue;  // forgotten meanwhile
    if (feed_.awaits(*found[i].job)) {
      ++passed_.kept.jobs;
      passed_.kept.output_bytes += page.jobs[i].kept_bytes;
    } else {
      ids.push_back(page.jobs[i].id);
    }
  }
  if (passed_.kept.jobs > 0) passed_.seq = page.jobs.back().seq;
  if (ids.empty()) {
    ++fruitless_pages_;
  } else {
    forget_(std::move(ids));
  }
  const bool all_seen = page.jobs.size() < page_jobs;
  if (all_seen || fruitless_pages_ >= fruitless_pages_max) return end_look(page, all_seen);
  next_page();
}

void Retention::end_look(const db::Overdue& page, bool all_seen) {
  looking_ = false;
  const Time now = wall_now();
  if (page.next) arm(*page.next);
  if (!all_seen || (since_.jobs > 0 && too_much())) arm(now + lateness / 2);
  if (passed_.kept.jobs == 0 || !all_seen) return;
  const auto pages = static_cast<Duration::rep>(passed_.kept.jobs / page_jobs + 1);
  if (!passed_until_) passed_until_ = now + std::min(pages * page_pause, held_up_pause_max);
  arm(*passed_until_);
}

void Retention::close() {
  closed_ = true;
  timer_.cancel();
}

}  // namespace stint
