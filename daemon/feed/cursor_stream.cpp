#include "daemon/feed/cursor_stream.hpp"

namespace stint::feed {
namespace {
constexpr std::size_t page_jobs = 256;
}

void CursorStream::prepare() {
  cursor_ = options_.since;
  now_open();
}

void CursorStream::on_finished(const core::FinishedPtr& job) {
  if (dead() || job->seq <= cursor_) return;
  if (mode_ == Mode::live) {
    if (!hand_over(job)) mode_ = Mode::behind;
    settle();
  } else if (mode_ == Mode::reading) {
    if (tail_.size() < page_jobs) {
      tail_.push_back(job);
    } else {
      overflowed_ = true;
    }
  }
}

bool CursorStream::awaits(const core::FinishedJob& job) const {
  if (mode_ == Mode::live || job.seq <= cursor_) return false;
  const Selection& wanted = options_.selection;
  return wanted.group ? job.spec->group == wanted.group : job.user && job.user->uid == wanted.uid;
}

void CursorStream::resume() {
  if (open_ && mode_ == Mode::behind && !sink_.full()) read();
}

void CursorStream::read() {
  mode_ = Mode::reading;
  tail_.clear();
  overflowed_ = false;
  std::optional<std::uint32_t> uid;
  if (!options_.selection.group) uid = options_.selection.uid;
  hub_.store.results(
      {options_.selection.group, uid, cursor_, page_jobs},
      guarded<CursorStream>([](CursorStream& self, const std::vector<core::FinishedPtr>& page) { self.on_page(page); }));
}

bool CursorStream::hand_over(const core::FinishedPtr& job) {
  if (sink_.full()) return false;
  cursor_ = job->seq;
  emit(*job);
  return true;
}

void CursorStream::on_page(const std::vector<core::FinishedPtr>& page) {
  bool more = page.size() == page_jobs;
  for (const auto& job : page) {
    if (job->seq > hub_.announced) {
      more = false;  // stored but not announced: it comes by on_finished
      break;
    }
    if (!hand_over(job)) {
      mode_ = Mode::behind;
      return;
    }
  }
  if (more || overflowed_) return read();
  for (const auto& job : tail_) {
    if (job->seq <= cursor_) continue;
    if (!hand_over(job)) {
      mode_ = Mode::behind;
      tail_.clear();
      return;
    }
  }
  tail_.clear();
  mode_ = Mode::live;
  settle();
}

}  // namespace stint::feed
