// Channels and events as calls that wait: carries the core's values between the callers, the store and the feed.
//
// Every `done` is called once, maybe inside the call, and not at all where the caller's connection has gone. I/O thread only.
// The feed and the ledger must outlive it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/core/channel.hpp"
#include "daemon/core/named_events.hpp"
#include "daemon/feed/feed.hpp"

namespace stint::feed {

/// Where facts go, and how one learns that they are on disk.
class Ledger {
 public:
  virtual ~Ledger() = default;
  /// Makes one step of the core; its effects are performed when `work` returns.
  virtual void step(const std::function<void(core::Step&)>& work) = 0;
  [[nodiscard]] virtual core::PersistNumber newest() const = 0;
  virtual void when_durable(core::PersistNumber number, std::function<void(std::optional<Error>)> done) = 0;
};

/// What a get came to. `handed_over(false)` gives the items back; it must be called.
struct GetResult {
  std::vector<core::ChannelItem> items;
  bool closed = false;
  std::function<void(bool)> handed_over;
};

class Exchange {
 public:
  Exchange(Feed& feed, Ledger& ledger) : feed_(feed), ledger_(ledger) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// What an earlier daemon left; before anything else.
  void restore(std::vector<core::StoredChannel> channels, const std::vector<std::string>& events);

  // ---- from the engine, after each commit: the refusals, then the new bound
  void on_refused(core::PersistNumber number);
  void on_durable(core::PersistNumber number);

  // ---- channels; what is thrown has changed nothing. Returned is what the answer waits for.
  core::Changed open(const std::string& name, std::uint64_t capacity, bool durable);
  core::Changed close(const std::string& name);
  core::PersistNumber remove(const std::string& name);
  /// The put would not wait.
  [[nodiscard]] bool has_room(const std::string& name, const json::Raw& item) const { return channels_.has_room(name, item); }
  using PutDone = std::function<void(const std::optional<Error>& error)>;
  void put(StreamId call, const std::string& name, json::Raw item, std::optional<Duration> timeout, PutDone done);
  using GetDone = std::function<void(const std::optional<Error>& error, GetResult result)>;
  void get(StreamId call, const std::string& name, std::uint64_t count, std::optional<Duration> timeout, GetDone done);
  [[nodiscard]] std::vector<core::ChannelState> channels() const { return channels_.list(); }

  // ---- events
  core::Changed set(const std::string& name);
  core::PersistNumber clear(const std::string& name);
  using WaitDone = std::function<void(const std::optional<Error>& error)>;
  void wait(StreamId call, const std::string& name, std::optional<Duration> timeout, WaitDone done);
  [[nodiscard]] std::vector<core::NamedEventState> events() const { return events_.list(); }

  void check() const;

 private:
  using Answered = std::function<void(core::ChannelAnswer)>;

  /// One step of the core with what it came to; what it throws has changed nothing.
  template <class Work>
  void work(Work&& change);
  void channel_call(StreamId call, std::optional<Duration> timeout, const std::string& what, Answered answered);
  void answer(core::ChannelAnswers answers);
  void give_back(core::ChannelAnswer::Items taken);
  /// The call waits until the event is set.
  void stand(StreamId call, const std::string& name);
  /// The event is set: the call is answered when that is on disk, and stands again where it is refused.
  void wake(StreamId call, const std::string& name, core::PersistNumber after);
  void end_wait(StreamId call, const std::optional<Error>& error);

  Feed& feed_;
  Ledger& ledger_;
  core::Channels channels_;
  core::NamedEvents events_;
  std::map<StreamId, Answered> calls_;  // on channels
  std::map<StreamId, WaitDone> waits_;  // for events
};

}  // namespace stint::feed
