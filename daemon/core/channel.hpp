// Channels: bounded queues by name, many to many. Who puts waits while one is full, who gets waits while it is empty.
//
// Both lines are served in the order of the calls. An item of a durable channel can be taken once its put is on disk, so
// that a refused put leaves no trace with anybody. What was taken and could not be handed over goes back to where it lay.
// Durable items are handed over at most once: the take is on disk before the answer leaves.
// A value of the core: no I/O, no clock. Throws Error (`not_found`, `conflict`, `limit_exceeded`) before anything has
// changed, and std::bad_alloc.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "common/error.hpp"
#include "daemon/core/step.hpp"

namespace stint::core {

/// A call that waits; later calls have larger numbers.
using CallId = std::uint64_t;

struct ChannelItem {
  std::int64_t position = 0;  ///< ascending from the head
  PersistNumber after = 0;    ///< its put; 0: on disk, or of a channel that is not durable
  std::shared_ptr<const json::Raw> value;
};

/// What a call on a channel came to, once `after` is durable.
struct ChannelAnswer {
  struct Accepted {};
  /// To be given back where nobody is there any more.
  struct Items {
    std::uint64_t channel = 0;
    std::vector<ChannelItem> items;
  };
  struct Closed {};

  CallId call = 0;
  PersistNumber after = 0;
  std::variant<Accepted, Items, Closed, Error> what;
};
using ChannelAnswers = std::vector<ChannelAnswer>;

struct ChannelState {
  std::string name;
  std::uint64_t capacity = 0;
  bool durable = false;
  bool closed = false;
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;
  std::uint64_t putting = 0;  ///< calls that wait for room
  std::uint64_t getting = 0;  ///< calls that wait for an item
};

class Channels {
 public:
  /// Makes one, or sets the capacity of the one that is there and opens it again where it was closed.
  PersistNumber open(const std::string& name, std::uint64_t capacity, bool durable, Step& step, ChannelAnswers& out);
  /// Nothing more can be put; who waits to put is refused, who waits to get is told when nothing is left.
  PersistNumber close(const std::string& name, Step& step, ChannelAnswers& out);
  /// It and what is in it is gone; who waits is refused.
  PersistNumber remove(const std::string& name, Step& step, ChannelAnswers& out);

  /// True where there is room, and nobody waits for it, so that a put would not wait.
  [[nodiscard]] bool has_room(const std::string& name, const json::Raw& item) const;
  void put(CallId call, const std::string& name, json::Raw item, Step& step, ChannelAnswers& out);
  /// At least one item and at most `count`.
  void get(CallId call, const std::string& name, std::uint64_t count, Step& step, ChannelAnswers& out);
  /// The call waits no longer; nothing where it does not wait.
  void leave(CallId call, Step& step, ChannelAnswers& out);
  /// They could not be handed over.
  void give_back(ChannelAnswer::Items taken, Step& step, ChannelAnswers& out);

  /// Everything up to `number` is decided. True where that are puts: serve_decided is to be called.
  bool on_durable(PersistNumber number);
  /// What was put before can be taken.
  void serve_decided(Step& step, ChannelAnswers& out);
  /// The puts of this Persist have not happened. Serves nobody before the next serve_decided.
  void on_refused(PersistNumber number);

  void restore(StoredChannel stored);
  [[nodiscard]] std::vector<ChannelState> list() const;
  [[nodiscard]] bool waits(CallId call) const { return callers_.contains(call); }
  /// Re-derives counts and indexes; throws std::logic_error that names the first difference.
  void check() const;

 private:
  struct Channel {
    std::uint64_t number = 0;  ///< never used again: a new channel of the name is another one
    std::string name;
    std::uint64_t capacity = 0;
    bool durable = false;
    bool closed = false;
    std::int64_t next_position = 1;
    std::uint64_t bytes = 0;
    std::deque<ChannelItem> items;
    std::map<CallId, json::Raw> putting;
    std::map<CallId, std::uint64_t> getting;

    [[nodiscard]] bool takes(const json::Raw& item) const;
    [[nodiscard]] bool ready(PersistNumber durable_up_to) const { return !items.empty() && items.front().after <= durable_up_to; }
  };

  [[nodiscard]] Channel& require(const std::string& name);
  Channel* leave_line(CallId call);
  [[nodiscard]] PersistNumber record(const Channel& channel, Step& step) const;
  PersistNumber append(Channel& channel, json::Raw item, Step& step);
  void hand_over(Channel& channel, CallId call, std::uint64_t count, Step& step, ChannelAnswers& out);
  /// Serves whoever can be served.
  void serve(Channel& channel, Step& step, ChannelAnswers& out);
  void refuse_putting(Channel& channel, const Error& error, ChannelAnswers& out);

  std::map<std::string, Channel, std::less<>> channels_;         // nodes do not move
  std::unordered_map<CallId, Channel*> callers_;                 // who waits
  std::deque<std::pair<PersistNumber, std::string>> undecided_;  // puts that are not on disk yet
  PersistNumber durable_ = 0;
  std::uint64_t last_number_ = 0;
  bool refused_ = false;  // what a refusal made room for is served by serve_decided
};

}  // namespace stint::core
