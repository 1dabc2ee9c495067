// Gives ids back in the order of submission: an id leaves when it is finished and no smaller one is still unfinished.
//
// Holds ids only, eight bytes each, because a long job at the front holds up everything behind it. A value; I/O free.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>

#include "common/job.hpp"

namespace stint::feed {

class SubmissionLine {
 public:
  /// An unfinished job; known ones are left as they are.
  void add(JobId id) { (void)entry(id); }
  /// A finished job, known or not.
  void finish(JobId id) { entry(id).done = 1; }
  void erase(JobId id) {
    const auto at = place(id);
    if (at != entries_.end() && at->id == id) entries_.erase(at);
  }

  /// The next in order, where it is finished.
  [[nodiscard]] std::optional<JobId> take() {
    if (entries_.empty() || entries_.front().done == 0) return std::nullopt;
    const JobId id = entries_.front().id;
    entries_.pop_front();
    return id;
  }
  [[nodiscard]] bool contains(JobId id) const {
    const auto at =
        std::lower_bound(entries_.begin(), entries_.end(), id, [](const Entry& entry, JobId key) { return entry.id < key; });
    return at != entries_.end() && at->id == id;
  }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    JobId id : 63;
    JobId done : 1;
  };

  [[nodiscard]] std::deque<Entry>::iterator place(JobId id) {
    return std::lower_bound(entries_.begin(), entries_.end(), id, [](const Entry& entry, JobId key) { return entry.id < key; });
  }
  Entry& entry(JobId id) {
    // Ids arrive ascending but for races at the opening, so this is nearly always the end.
    if (entries_.empty() || entries_.back().id < id) return entries_.emplace_back(Entry{id & ((JobId{1} << 63U) - 1), 0});
    const auto at = place(id);
    if (at->id == id) return *at;
    return *entries_.insert(at, Entry{id & ((JobId{1} << 63U) - 1), 0});
  }

  std::deque<Entry> entries_;
};

}  // namespace stint::feed
