// A scheduler, a clock that tests move, and short words for what tests ask of effects.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/scheduler.hpp"

namespace stint::core {

class SchedulerTest : public testing::Test {
 protected:
  static Config slots(std::uint32_t each) {
    Config config;
    config.slots.fill(each);
    return config;
  }

  static std::shared_ptr<JobSpec> spec() {
    auto made = std::make_shared<JobSpec>();
    made->task = "echo";
    return made;
  }
  static std::shared_ptr<JobSpec> transient() {
    auto made = spec();
    made->durable = false;
    return made;
  }

  static EndReport exited(int code) {
    EndReport report;
    report.ending = EndReport::Exited{code};
    return report;
  }

  JobId submit(std::shared_ptr<const JobSpec> of, std::size_t count = 1, Lane lane = Lane::coroutine,
               std::optional<JobId> parent = std::nullopt) {
    std::vector<Submission> jobs(count, Submission{std::move(of), nullptr, std::nullopt, ExecutorKind::coroutine, lane});
    now_ += Duration(1);
    out_.clear();
    const JobId first = scheduler_->on_submit(std::move(jobs), user_, parent, now_, out_);
    scheduler_->check();
    return first;
  }
  void started(JobId id) {
    out_.clear();
    scheduler_->on_started(id, scheduler_->find(id)->attempt, now_, "runner-1", 42, out_);
    scheduler_->check();
  }
  void ended(JobId id, EndReport report) {
    out_.clear();
    now_ += Duration(1);
    scheduler_->on_ended(id, scheduler_->find(id)->attempt, std::move(report), now_, out_);
    scheduler_->check();
  }
  CancelResult cancel(JobId id, bool force = false) {
    out_.clear();
    const std::vector ids{id};
    auto result = scheduler_->on_cancel(ids, force, now_, out_);
    scheduler_->check();
    return result;
  }
  void refused(PersistNumber number) {
    out_.clear();
    scheduler_->on_refused(number, now_, out_);
    scheduler_->check();
  }
  void timer() {
    out_.clear();
    now_ += std::chrono::milliseconds(100);
    scheduler_->on_timer(now_, out_);
    scheduler_->check();
  }
  void durable() {
    scheduler_->on_durable(scheduler_->newest_persist());
    scheduler_->check();
  }

  /// The first job that is not durable makes the scheduler reserve ids and seqs; from then on they wait for nothing.
  void reserve() {
    const JobId id = submit(transient());
    ended(id, exited(0));
    durable();
    out_.clear();
  }

  /// The effects of one type that the last event had.
  template <class T>
  std::vector<T> effects() const {
    std::vector<T> found;
    for (const auto& effect : out_) {
      if (const auto* const each = std::get_if<T>(&effect)) found.push_back(*each);
    }
    return found;
  }
  /// The facts of the last event's Persist effects, as words: "submit start finish".
  std::string facts() const {
    static constexpr std::array<const char*, std::variant_size_v<Fact>> names{
        "submit", "start", "cancel", "finish",   "forget",      "reserve",   "channel", "put",
        "take",   "event", "retry",  "set_pool", "remove_pool", "semaphore", "lease",   "release"};
    std::string text;
    for (const auto& persist : effects<Persist>()) {
      for (const auto& fact : persist.facts) text += (text.empty() ? "" : " ") + std::string(names[fact.index()]);
    }
    return text;
  }
  std::vector<Publish> published(EventKind kind) const {
    auto all = effects<Publish>();
    std::erase_if(all, [kind](const Publish& each) { return each.kind != kind; });
    return all;
  }
  std::string record(JobId id) const {
    std::string text;
    json::Writer writer(text);
    encode_record(writer, scheduler_->record_of(*scheduler_->find(id)));
    return text;
  }
  State state_of(JobId id) const { return scheduler_->record_of(*scheduler_->find(id)).state; }

  void make(Config config) { scheduler_ = std::make_unique<Scheduler>(config); }

  std::unique_ptr<Scheduler> scheduler_ = std::make_unique<Scheduler>(slots(1));
  std::shared_ptr<const User> user_ = std::make_shared<const User>(User{1000, "someone"});
  Time now_{std::chrono::seconds(1'000)};
  Effects out_;
};

}  // namespace stint::core
