// What streams and waiting calls of the feed share: the indexes by which an event finds them, deadlines, the dead.
//
// Inside feed/ only. An entry that ends while it is being called is retired: out of every index at once, destroyed when
// the outermost call (Turn) returns. I/O thread only; throws std::bad_alloc only.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/error.hpp"
#include "daemon/core/scheduler.hpp"
#include "daemon/db/store.hpp"
#include "daemon/feed/sink.hpp"
#include "daemon/feed/timers.hpp"

namespace stint::feed {

struct Hub;
class ResultStream;

/// Told of the jobs that it is registered for.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void on_submitted(JobId /*id*/) {}
  virtual void on_finished(const core::FinishedPtr& job) = 0;
  /// The submit of these jobs was refused.
  virtual void on_vanished(JobId first, std::uint64_t count, const Error& why) = 0;
};

/// An open stream or a waiting call.
class Entry : public Watcher {
 public:
  Entry(Hub& hub, StreamId id) : hub_(hub), id_(id) {}
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  [[nodiscard]] StreamId id() const { return id_; }
  [[nodiscard]] bool dead() const { return dead_; }

  /// The sink has room again.
  virtual void resume() {}
  /// Ends it with a word to whoever opened it: cancelled, timed_out, draining.
  virtual void stop(StreamEnd reason) = 0;
  /// Of a call that waits for jobs or is held: it is answered with this error, by whoever holds it.
  virtual void fail(const Error& /*error*/) {}
  /// Takes it out of the indexes that it is in.
  virtual void unwatch() = 0;

 protected:
  friend struct Hub;
  Hub& hub_;
  StreamId id_;
  bool dead_ = false;
  std::multimap<Timers::Clock::time_point, StreamId>::iterator deadline_;
  bool has_deadline_ = false;
};

/// Who watches single jobs. Nearly always one a job, so the others stand apart.
class JobWatches {
 public:
  void add(JobId id, Watcher* watcher);
  void remove(JobId id, const Watcher* watcher);
  /// Takes all of them out.
  [[nodiscard]] std::vector<Watcher*> take_more(JobId id);
  [[nodiscard]] Watcher* take_first(JobId id);
  [[nodiscard]] bool empty() const { return first_.empty() && more_.empty(); }
  [[nodiscard]] bool has_more() const { return !more_.empty(); }

 private:
  boost::unordered_flat_map<JobId, Watcher*> first_;
  std::unordered_multimap<JobId, Watcher*> more_;
};

/// Who watches all jobs with a label: a group or a user.
template <class Key>
class LabelWatches {
 public:
  void add(const Key& key, Watcher* watcher) { lists_[key].push_back(watcher); }
  void remove(const Key& key, const Watcher* watcher) {
    const auto found = lists_.find(key);
    if (found == lists_.end()) return;
    std::erase(found->second, watcher);
    if (found->second.empty()) lists_.erase(found);
  }
  /// A copy: callbacks may add and remove.
  [[nodiscard]] std::vector<Watcher*> find(const Key& key) const {
    if (lists_.empty()) return {};
    const auto found = lists_.find(key);
    return found == lists_.end() ? std::vector<Watcher*>{} : found->second;
  }
  [[nodiscard]] std::vector<Watcher*> all() const {
    std::vector<Watcher*> out;
    for (const auto& [key, list] : lists_) out.insert(out.end(), list.begin(), list.end());
    return out;
  }
  [[nodiscard]] bool empty() const { return lists_.empty(); }

 private:
  boost::unordered_flat_map<Key, std::vector<Watcher*>> lists_;
};

struct Hub {
  Hub(const core::Scheduler& scheduler_in, db::Store& store_in, Timers& timers_in)
      : scheduler(scheduler_in), store(store_in), timers(timers_in), announced(scheduler_in.last_seq()) {}

  /// The outermost call into the feed; the retired are destroyed when it ends.
  class Turn {
   public:
    explicit Turn(Hub& hub) : hub_(hub) { ++hub_.depth; }
    ~Turn() {
      if (--hub_.depth == 0 && !hub_.retired.empty()) hub_.bury();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Hub& hub_;
  };

  /// Takes an entry in; `timeout` counts from now.
  template <class T>
  T& open(std::unique_ptr<T> entry, std::optional<Duration> timeout) {
    T& out = *entry;
    entries.emplace(out.id(), std::move(entry));
    if (timeout) set_deadline(out, *timeout);
    return out;
  }
  [[nodiscard]] Entry* find(StreamId id) const {
    const auto found = entries.find(id);
    return found == entries.end() ? nullptr : found->second.get();
  }
  void retire(Entry& entry);

  const core::Scheduler& scheduler;
  db::Store& store;
  Timers& timers;
  Seq announced = 0;  ///< everything up to here has been published
  bool closing = false;

  JobWatches by_job;
  LabelWatches<std::string> by_group;
  LabelWatches<std::uint32_t> by_user;
  std::vector<StreamId> drains;        ///< calls that wait for a drain
  std::vector<ResultStream*> results;  ///< all open streams of results
  std::vector<Watcher*> ending;        ///< streams of groups without unfinished members that wait for what is not announced

  boost::unordered_flat_map<StreamId, std::unique_ptr<Entry>> entries;
  std::vector<std::unique_ptr<Entry>> retired;
  std::multimap<Timers::Clock::time_point, StreamId> deadlines;
  int depth = 0;

 private:
  friend class Turn;
  void bury();
  void set_deadline(Entry& entry, Duration timeout);
  void arm();
  void on_timer();
  Timers::Clock::time_point armed_for_ = Timers::Clock::time_point::max();
};

}  // namespace stint::feed
