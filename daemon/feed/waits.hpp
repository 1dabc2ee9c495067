// Calls that wait: for one job (job.run), for many (job.wait), which is a stream of results that is collected, for all that a
// drain waits for (daemon.drain), and for what lies outside the feed (channels, events, permits).
//
// Inside feed/ only. Each calls its `done` exactly once, or never where it was dropped.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "daemon/feed/feed.hpp"
#include "daemon/feed/hub.hpp"

namespace stint::feed {

class JobWait final : public Entry {
 public:
  JobWait(Hub& hub, StreamId id, JobId job, Feed::JobCallback done) : Entry(hub, id), job_(job), done_(std::move(done)) {
    hub_.by_job.add(job_, this);
  }

  void on_finished(const core::FinishedPtr& job) override { answer(job, nullptr); }
  void on_vanished(JobId, std::uint64_t, const Error& why) override { answer(nullptr, &why); }
  void stop(StreamEnd reason) override;
  void fail(const Error& error) override { answer(nullptr, &error); }
  void unwatch() override { hub_.by_job.remove(job_, this); }

 private:
  void answer(const core::FinishedPtr& job, const Error* error);

  JobId job_;
  Feed::JobCallback done_;
};

class DrainWait final : public Entry {
 public:
  DrainWait(Hub& hub, StreamId id, core::DrainScope scope, Feed::DrainCallback done)
      : Entry(hub, id), scope_(scope), done_(std::move(done)) {
    hub_.drains.push_back(id);
  }

  [[nodiscard]] core::DrainScope scope() const { return scope_; }
  /// Answers where nothing is left to wait for.
  void look();
  void answer(const Error* error);

  void on_finished(const core::FinishedPtr&) override {}
  void on_vanished(JobId, std::uint64_t, const Error&) override {}
  void stop(StreamEnd reason) override;
  void unwatch() override { std::erase(hub_.drains, id()); }

 private:
  core::DrainScope scope_;
  Feed::DrainCallback done_;
};

/// Waits for what somebody else knows of.
class HeldCall final : public Entry {
 public:
  HeldCall(Hub& hub, StreamId id, Feed::LeftCallback left) : Entry(hub, id), left_(std::move(left)) {}

  void serve() {
    left_ = nullptr;
    hub_.retire(*this);
  }

  void on_finished(const core::FinishedPtr&) override {}
  void on_vanished(JobId, std::uint64_t, const Error&) override {}
  void stop(StreamEnd reason) override {
    why_ = reason;
    hub_.retire(*this);
  }
  void fail(const Error&) override { serve(); }
  void unwatch() override {
    if (const auto left = std::exchange(left_, nullptr)) left(why_);
  }

 private:
  Feed::LeftCallback left_;
  StreamEnd why_ = StreamEnd::cancelled;
};

/// Collects the records of a stream that it opened, until it has what it waits for.
class WaitCall final : public Entry, public Sink {
 public:
  using Done = std::function<void(std::optional<Error>, WaitResult)>;
  WaitCall(Hub& hub, StreamId id, WaitOptions options, Done done);

  /// Begins to collect; the call after Hub::open.
  void begin(StreamId stream);

  // Entry
  void on_finished(const core::FinishedPtr&) override {}
  void on_vanished(JobId, std::uint64_t, const Error&) override {}
  void stop(StreamEnd reason) override;
  void fail(const Error& error) override { answer(error); }
  void unwatch() override;

  // Sink
  void result(StreamId stream, const core::FinishedJob& job, const RecordPart& part) override;
  void event(StreamId, std::string_view) override {}
  void end(StreamId stream, StreamEnd reason, const Error* error) override;
  void caught_up(StreamId stream) override;
  [[nodiscard]] bool full() const override { return false; }

 private:
  void answer(const std::optional<Error>& error);

  WaitOptions options_;
  Done done_;
  StreamId stream_ = 0;
  std::set<JobId> left_;  // of given ids
  std::string finished_ = "[";
  bool satisfied_ = false;
  bool too_large_ = false;
};

}  // namespace stint::feed
