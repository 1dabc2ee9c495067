// Numbered events: the recent ones in a bounded ring, and subscriptions that read it at their own pace.
//
// Who falls behind the ring is told how many he missed. Inside feed/ only.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/feed/feed.hpp"
#include "daemon/feed/hub.hpp"

namespace stint::feed {

/// What is kept of an event: small, so that the ring never keeps a specification or an output alive.
struct Event {
  core::EventKind kind{};
  Outcome outcome{};
  Attempt attempt = 0;
  JobId id = 0;
  Seq seq = 0;
  Time at{};
  Time again_at{};  ///< retrying
  double progress = 0;
  std::shared_ptr<const std::string> group;  ///< null where none; shared by neighbours of the same group
  std::shared_ptr<const core::User> user;
  std::string text;  ///< of progress, at most `event_text_bytes_max`
};

inline constexpr std::size_t events_kept_max = 8'192;
inline constexpr std::size_t event_text_bytes_max = 1'024;

class EventLog {
 public:
  void append(const core::Publish& publish);
  /// Number of the newest; events are numbered from 1 within one instance of the daemon.
  [[nodiscard]] std::uint64_t newest() const { return newest_; }
  [[nodiscard]] std::uint64_t oldest() const { return newest_ - ring_.size() + 1; }
  /// `number` is within oldest() … newest().
  [[nodiscard]] const Event& at(std::uint64_t number) const { return ring_[number - oldest()]; }

 private:
  std::deque<Event> ring_;
  std::uint64_t newest_ = 0;
};

class Subscription final : public Entry {
 public:
  Subscription(Hub& hub, StreamId id, const EventLog& log, std::vector<Subscription*>& all, SubscribeOptions options, Sink& sink);

  /// Hands over what is new and wanted while the sink has room.
  void pump();

  void resume() override { pump(); }
  void stop(StreamEnd reason) override;
  void unwatch() override { std::erase(all_, this); }
  void on_finished(const core::FinishedPtr&) override {}
  void on_vanished(JobId, std::uint64_t, const Error&) override {}

 private:
  [[nodiscard]] bool wanted(const Event& event) const;

  const EventLog& log_;
  std::vector<Subscription*>& all_;
  SubscribeOptions options_;
  std::uint32_t kinds_;  // a bit a kind
  Sink& sink_;
  std::uint64_t seen_;  // everything up to here has been handed over or passed by
  std::string text_;
};

}  // namespace stint::feed
