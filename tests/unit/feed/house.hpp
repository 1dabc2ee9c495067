// A daemon without I/O for the tests of feed/ and api/: the real core, a store that answers when told, a clock by hand.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/scheduler.hpp"
#include "daemon/db/store.hpp"
#include "daemon/feed/feed.hpp"

namespace stint::fakes {

/// Keeps what it is given; answers later, in order, from `turn`.
class HandStore final : public db::Store {
 public:
  db::Recovered recover() override { return {}; }
  void on_failure(std::function<void(const std::string&)>) override {}
  void on_commit(CommitCallback callback) override { committed_ = std::move(callback); }
  /// All that it was given is on disk.
  void commit() {
    new_work_.clear();
    committed_({{}, newest_, {}, true});
  }
  /// The same, but for new work: there is no room for it.
  void refuse() { committed_({std::exchange(new_work_, {}), newest_, "the disk is full", false}); }
  void persist(core::Persist facts) override {
    newest_ = std::max(newest_, facts.number);
    if (core::has_new_work(facts)) new_work_.insert(new_work_.begin(), facts.number);
    for (auto& fact : facts.facts) {
      if (auto* finish = std::get_if<core::FinishFact>(&fact)) by_seq_[finish->job->seq] = finish->job;
      if (auto* forget = std::get_if<core::ForgetFact>(&fact)) {
        for (const JobId id : forget->ids) {
          forgotten_.insert(id);
          std::erase_if(by_seq_, [id](const auto& entry) { return entry.second->id == id; });
        }
      }
    }
  }
  void get(std::vector<JobId> ids, std::function<void(std::vector<db::Found>)> done) override {
    std::vector<db::Found> found;
    for (const JobId id : ids) {
      db::Found one;
      if (forgotten_.contains(id)) one.presence = db::Presence::purged;
      for (const auto& [seq, job] : by_seq_) {
        if (job->id == id) one = {db::Presence::found, job};
      }
      found.push_back(std::move(one));
    }
    later([done = std::move(done), found = std::move(found)] { done(found); });
  }
  void load(std::vector<JobId> ids, std::function<void(std::vector<core::LoadedSpec>)> done) override {
    std::vector<core::LoadedSpec> loaded;
    for (const JobId id : ids) loaded.push_back({id, nullptr, nullptr});
    later([done = std::move(done), loaded = std::move(loaded)] { done(loaded); });
  }
  void attempt(JobId, Attempt, std::function<void(core::EndedPtr)> done) override {
    later([done = std::move(done)] { done(nullptr); });
  }
  void results(db::ResultsQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) override {
    ++pages;
    std::vector<core::FinishedPtr> page;
    for (auto at = by_seq_.upper_bound(query.since); at != by_seq_.end() && page.size() < query.limit; ++at) {
      if (query.group && at->second->spec->group != query.group) continue;
      if (query.uid && at->second->user->uid != *query.uid) continue;
      page.push_back(at->second);
    }
    later([done = std::move(done), page = std::move(page)] { done(page); });
  }
  void list(db::ListQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) override {
    std::vector<core::FinishedPtr> page;
    for (const auto& [seq, job] : by_seq_) {
      if (job->id > query.after && job->id <= query.up_to) page.push_back(job);
    }
    std::ranges::sort(page, {}, [](const auto& job) { return job->id; });
    if (page.size() > query.limit) page.resize(query.limit);
    later([done = std::move(done), page = std::move(page)] { done(page); });
  }
  void ended_before(Time time, std::size_t limit, std::function<void(std::vector<JobId>)> done) override {
    std::vector<JobId> ids;
    for (const auto& [seq, job] : by_seq_) {
      if (job->finished_at < time && ids.size() < limit) ids.push_back(job->id);
    }
    later([done = std::move(done), ids = std::move(ids)] { done(ids); });
  }
  void overdue(db::Retention, Time, db::PassedOver, std::size_t, std::function<void(const db::Overdue&)> done) override {
    later([done = std::move(done)] { done({}); });
  }
  void knows_group(std::string group, std::function<void(bool)> done) override {
    const bool known = std::ranges::any_of(by_seq_, [&](const auto& entry) { return entry.second->spec->group == group; });
    later([done = std::move(done), known] { done(known); });
  }
  void close(std::function<void()> done) override { later(std::move(done)); }

  void later(std::function<void()> work) { queue_.push_back(std::move(work)); }
  /// One answer; false where none is due.
  bool turn() {
    if (queue_.empty()) return false;
    const auto work = std::move(queue_.front());
    queue_.pop_front();
    work();
    return true;
  }

  int pages = 0;  ///< result pages that were asked for

 private:
  CommitCallback committed_;
  core::PersistNumber newest_ = 0;
  std::vector<core::PersistNumber> new_work_;  // not decided, newest first
  std::map<Seq, core::FinishedPtr> by_seq_;
  std::set<JobId> forgotten_;
  std::deque<std::function<void()>> queue_;
};

class HandTimers final : public feed::Timers {
 public:
  [[nodiscard]] Clock::time_point now() const override { return now_; }
  void arm(Clock::time_point at, std::function<void()> fire) override {
    at_ = at;
    fire_ = std::move(fire);
  }
  void disarm() override { fire_ = nullptr; }
  void post(std::function<void()> work) override { posted_.push_back(std::move(work)); }

  void advance(Duration by) {
    now_ += by;
    if (fire_ && at_ <= now_) std::exchange(fire_, nullptr)();
  }
  bool turn() {
    if (posted_.empty()) return false;
    const auto work = std::move(posted_.front());
    posted_.pop_front();
    work();
    return true;
  }

 private:
  Clock::time_point now_{};
  Clock::time_point at_{};
  std::function<void()> fire_;
  std::deque<std::function<void()>> posted_;
};

class House {
 public:
  House() : scheduler(config()), feed(scheduler, store, timers) {}

  static core::Config config() {
    core::Config config;
    config.slots = {4, 4, 4, 1'000};
    return config;
  }

  JobId submit(JobSpec spec, const std::shared_ptr<const core::User>& user) {
    core::Submission one;
    one.spec = std::make_shared<const JobSpec>(std::move(spec));
    one.executor = ExecutorKind::coroutine;
    one.lane = core::Lane::coroutine;
    std::vector<core::Submission> jobs;
    jobs.push_back(std::move(one));
    const JobId id = scheduler.on_submit(std::move(jobs), user, std::nullopt, now, effects);
    perform();
    return id;
  }
  JobId submit(std::optional<std::string> group = std::nullopt, bool on_disk = false) {
    JobSpec spec;
    spec.task = "echo";
    spec.group = std::move(group);
    spec.durable = on_disk;
    return submit(std::move(spec), me);
  }
  void finish(JobId id, bool well = true) {
    EndReport report;
    if (well) {
      report.ending = EndReport::Returned{json::Raw{"1"}};
    } else {
      report.ending = EndReport::Failed{{"exception", "no"}, std::nullopt};
    }
    report.finished_at = now;
    scheduler.on_ended(id, 1, std::move(report), now, effects);
    perform();
  }
  /// Applies what the core wants; news that wait for a Persist are held until `commit`.
  void perform() {
    const auto batch = std::exchange(effects, {});
    for (const auto& effect : batch) {
      if (const auto* persist = std::get_if<core::Persist>(&effect)) store.persist(*persist);
      if (const auto* news = std::get_if<core::Publish>(&effect)) {
        held.push_back(*news);
      }
    }
    if (auto_commit) commit();
    release();
    feed.jobs_moved();
  }
  void commit() {
    durable = scheduler.newest_persist();
    release();
    scheduler.on_durable(durable);
  }
  void release() {
    while (!held.empty() && held.front().after <= durable) {
      const auto news = std::move(held.front());
      held.pop_front();
      feed.publish(news);
    }
  }
  /// Runs until nobody has anything left to do.
  void settle() {
    while (store.turn() || timers.turn()) {
    }
  }

  Time now{std::chrono::seconds(1'000)};
  std::shared_ptr<const core::User> me = std::make_shared<const core::User>(core::User{1'000, "me"});
  core::Effects effects;
  std::deque<core::Publish> held;
  core::PersistNumber durable = 0;
  bool auto_commit = true;
  core::Scheduler scheduler;
  HandStore store;
  HandTimers timers;
  feed::Feed feed;
};

}  // namespace stint::fakes
