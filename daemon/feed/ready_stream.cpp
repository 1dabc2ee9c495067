#include "daemon/feed/ready_stream.hpp"

#include <algorithm>

namespace stint::feed {
namespace {

constexpr std::size_t slice_jobs = 256;
constexpr std::size_t walk_jobs = 4'096;

}  // namespace

void ReadyStream::prepare() {
  const auto& selection = options_.selection;
  if (selection.ids) {
    std::vector<JobId> ids = *selection.ids;
    std::ranges::sort(ids);
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (const JobId id : ids) {
      if (hub_.scheduler.find(id) == nullptr) {
        unknown_.push_back(id);
        continue;
      }
      hub_.by_job.add(id, this);
      ++watched_;
      if (by_id()) line_.add(id);
    }
    return look_up_ids();
  }
  if (!selection.group) return walk_unfinished(0);
  hub_.scheduler.each_of_group(*selection.group, [this](const core::Job& job) {
    if (!job.is_finished()) line_.add(job.id);
    return true;
  });
  read_past(options_.since);
}

bool ReadyStream::awaits(const core::FinishedJob& job) const {
  if (!open_) return true;  // what it has to hand over is being found out
  return std::ranges::find(ready_, job.id) != ready_.end() || line_.contains(job.id);
}

void ReadyStream::unwatch() {
  ResultStream::unwatch();
  if (!options_.selection.ids) return;
  for (const JobId id : *options_.selection.ids) hub_.by_job.remove(id, this);
}

void ReadyStream::look_up_ids() {
  if (looked_up_ == unknown_.size()) return open_line();
  const std::size_t count = std::min(slice_jobs, unknown_.size() - looked_up_);
  const auto from = unknown_.begin() + static_cast<std::ptrdiff_t>(looked_up_);
  hub_.store.get(std::vector<JobId>(from, from + static_cast<std::ptrdiff_t>(count)),
                 guarded<ReadyStream>([](ReadyStream& self, const std::vector<db::Found>& found) { self.on_looked_up(found); }));
}

void ReadyStream::on_looked_up(const std::vector<db::Found>& found) {
  for (const auto& one : found) {
    const JobId id = unknown_[looked_up_++];
    if (one.presence != db::Presence::found) {
      const auto& ids = *options_.selection.ids;
      const auto index = static_cast<std::size_t>(std::ranges::find(ids, id) - ids.begin());
      return refuse(db::missing_job(id, one.presence, "ids[" + std::to_string(index) + "]"));
    }
    if (one.job->seq > hub_.announced) {  // not durable and just finished: its announcement comes
      hub_.by_job.add(id, this);
      ++watched_;
      if (by_id()) line_.add(id);
    } else if (one.job->seq > options_.since) {
      past_.emplace_back(one.job->seq, id);
    }
  }
  look_up_ids();
}

void ReadyStream::walk_unfinished(JobId after) {
  JobId last = after;
  std::size_t seen = 0;
  hub_.scheduler.each_after(after, walk_jobs, [&](const core::Job& job) {
    last = job.id;
    ++seen;
    if (job.user->uid == options_.selection.uid && !job.is_finished()) line_.add(job.id);
    return true;
  });
  if (seen < walk_jobs) return read_past(options_.since);
  hub_.timers.post(guarded<ReadyStream>([last](ReadyStream& self) { self.walk_unfinished(last); }));
}

void ReadyStream::read_past(Seq after) {
  std::optional<std::uint32_t> uid;
  if (!options_.selection.group) uid = options_.selection.uid;
  const auto on_page = [](ReadyStream& self, const std::vector<core::FinishedPtr>& page) {
    for (const auto& job : page) {
      if (job->seq > self.hub_.announced) {
        self.line_.add(job->id);
      } else {
        self.line_.finish(job->id);
      }
    }
    if (page.size() < slice_jobs) return self.open_line();
    self.read_past(page.back()->seq);
  };
  hub_.store.results({options_.selection.group, uid, after, slice_jobs}, guarded<ReadyStream>(on_page));
}

void ReadyStream::open_line() {
  if (by_id()) {
    for (const auto& [seq, id] : past_) line_.finish(id);
  } else {
    std::ranges::sort(past_);
    for (const auto& [seq, id] : past_) ready_.push_back(id);
  }
  past_.clear();
  past_.shrink_to_fit();
  unknown_.clear();
  unknown_.shrink_to_fit();
  now_open();
}

void ReadyStream::on_submitted(JobId id) {
  if (!dead()) line_.add(id);
}

void ReadyStream::on_finished(const core::FinishedPtr& job) {
  if (dead()) return;
  if (options_.selection.ids) --watched_;
  if (job->seq <= options_.since) {
    line_.erase(job->id);
    return settle();
  }
  if (!open_) {
    if (by_id()) {
      line_.finish(job->id);
    } else {
      past_.emplace_back(job->seq, job->id);
    }
    return;
  }
  if (by_id()) {
    line_.finish(job->id);
    const bool idle = ready_.empty() && !fetching_;
    take_from_line();
    // The one that has just finished is the front in most cases: then its record is at hand.
    if (idle && !ready_.empty() && ready_.front() == job->id && !sink_.full()) {
      ready_.pop_front();
      emit(*job);
    }
    return pump();
  }
  if (ready_.empty() && !fetching_ && !sink_.full()) {
    emit(*job);
  } else {
    ready_.push_back(job->id);
  }
  settle();
}

void ReadyStream::take_from_line() {
  while (const auto id = line_.take()) ready_.push_back(*id);
}

void ReadyStream::pump() {
  if (dead() || !open_) return;
  if (by_id()) take_from_line();
  if (!ready_.empty() && !fetching_ && !sink_.full()) return fetch();
  settle();
}

void ReadyStream::fetch() {
  fetching_ = true;
  const std::size_t count = std::min(slice_jobs, ready_.size());
  hub_.store.get(std::vector<JobId>(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(count)),
                 guarded<ReadyStream>([](ReadyStream& self, const std::vector<db::Found>& found) { self.on_fetched(found); }));
}

void ReadyStream::on_fetched(const std::vector<db::Found>& found) {
  fetching_ = false;
  for (const auto& one : found) {
    if (sink_.full()) break;
    if (one.presence != db::Presence::found) return finish_forgotten(ready_.front());
    ready_.pop_front();
    emit(*one.job);
  }
  pump();
}

bool ReadyStream::drained() const { return ready_.empty() && !fetching_; }

void ReadyStream::forget_vanished(JobId first, std::uint64_t count) {
  for (JobId id = first; id < first + count; ++id) line_.erase(id);
}

}  // namespace stint::feed
