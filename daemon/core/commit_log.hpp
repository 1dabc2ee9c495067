// What hangs on Persists that are not decided yet: by number, so that a commit or a refusal touches exactly its own.
//
// Remembers ids and numbers; it undoes nothing itself. Numbers are added in ascending order. Throws std::bad_alloc only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "daemon/core/effects.hpp"

namespace stint::core {

class CommitLog {
  /// A copy: only refusals ask, and what they undo changes the log.
  template <class Entry>
  [[nodiscard]] static std::vector<Entry> entries_of(const std::deque<Entry>& log, PersistNumber number) {
    const auto before = [](const Entry& entry, PersistNumber value) { return entry.number < value; };
    std::vector<Entry> found;
    for (auto at = std::lower_bound(log.begin(), log.end(), number, before); at != log.end() && at->number == number; ++at) {
      found.push_back(*at);
    }
    return found;
  }

 public:
  struct JobEntry {
    PersistNumber number = 0;
    JobId id = 0;
  };
  struct SubmitEntry {
    PersistNumber number = 0;
    JobId first = 0;
    std::uint64_t count = 0;
  };

  void submitted(PersistNumber number, JobId first, std::uint64_t count) { submits_.push_back({number, first, count}); }
  void started(PersistNumber number, JobId id) { starts_.push_back({number, id}); }
  void finished(PersistNumber number, JobId id) { finishes_.push_back({number, id}); }

  /// The newest Persist that a finish still waits for; 0 where none does.
  [[nodiscard]] PersistNumber newest_finish() const { return finishes_.empty() ? 0 : finishes_.back().number; }

  [[nodiscard]] auto submits_of(PersistNumber number) const { return entries_of(submits_, number); }
  [[nodiscard]] auto starts_of(PersistNumber number) const { return entries_of(starts_, number); }
  [[nodiscard]] const std::deque<JobEntry>& finishes() const { return finishes_; }

  /// The submit was refused: until all that was emitted meanwhile is decided, its ids are known as refused.
  void refused(const SubmitEntry& submit, PersistNumber newest) { refused_.push_back({newest, submit.first, submit.count}); }
  [[nodiscard]] bool was_refused(JobId id) const {
    return std::ranges::any_of(refused_, [id](const SubmitEntry& each) { return id - each.first < each.count; });
  }

  /// Everything up to `number` is decided; `leave(id)` is called for each finish that has waited for that.
  template <class Leave>
  void decided(PersistNumber number, Leave&& leave) {
    // Effects held for the bound before may still be on their way when it is told, hence one call later.
    std::erase_if(refused_, [this](const SubmitEntry& each) { return each.number <= decided_; });
    decided_ = std::max(decided_, number);
    const auto pop = [number](auto& log) {
      while (!log.empty() && log.front().number <= number) log.pop_front();
    };
    pop(submits_);
    pop(starts_);
    while (!finishes_.empty() && finishes_.front().number <= number) {
      leave(finishes_.front().id);
      finishes_.pop_front();
    }
  }

 private:
  std::deque<SubmitEntry> submits_;
  std::deque<JobEntry> starts_;
  std::deque<JobEntry> finishes_;
  std::vector<SubmitEntry> refused_;  // number: the newest Persist when it was refused
  PersistNumber decided_ = 0;
};

}  // namespace stint::core
