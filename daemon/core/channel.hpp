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
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "common/error.hpp"
#include "daemon/core/step.hpp"
#include "daemon/core/undo_log.hpp"

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
  struct Accepted {
    std::uint64_t channel = 0;
  };
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
  Changed open(const std::string& name, std::uint64_t capacity, bool durable, Step& step, ChannelAnswers& out);
  /// Nothing more can be put; who waits to put is refused, who waits to get is told when nothing is left.
  Changed close(const std::string& name, Step& step, ChannelAnswers& out);
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
  /// What this Persist put or made has not happened. Serves nobody before the next serve_decided; who waits at a channel that
  /// never was is refused.
  void on_refused(PersistNumber number, ChannelAnswers& out);
  /// It never was, so nothing that was put there is: until all that was put meanwhile is decided.
  [[nodiscard]] bool was_refused(std::uint64_t channel) const { return vanished_.contains(channel); }

  void restore(StoredChannel stored);
  [[nodiscard]] std::vector<ChannelState> list() const;
  [[nodiscard]] bool waits(CallId call) const { return callers_.contains(call); }
  /// Re-derives counts and indexes; throws std::logic_error that names the first difference.
  void check() const;

 private:
  struct Shape {
    std::uint64_t capacity = 0;
    bool closed = false;
  };
  struct Channel {
    std::uint64_t number = 0;  ///< never used again: a new channel of the name is another one
    std::string name;
    bool durable = false;
    Shape shape;
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
  /// `before`: nothing where it was not there.
  Changed record(const Channel& channel, std::optional<Shape> before, Step& step);
  void drop(const std::string& name, ChannelAnswers& out);
  PersistNumber append(Channel& channel, json::Raw item, Step& step);
  void hand_over(Channel& channel, CallId call, std::uint64_t count, Step& step, ChannelAnswers& out);
  /// Serves whoever can be served.
  void serve(Channel& channel, Step& step, ChannelAnswers& out);
  void refuse_putting(Channel& channel, const Error& error, ChannelAnswers& out);

  std::map<std::string, Channel, std::less<>> channels_;         // nodes do not move
  std::unordered_map<CallId, Channel*> callers_;                 // who waits
  std::deque<std::pair<PersistNumber, std::string>> undecided_;  // puts, and channels that were made, that are not on disk yet
  UndoLog<std::optional<Shape>> made_;
  std::set<std::uint64_t> vanished_;
  PersistNumber durable_ = 0;
  std::uint64_t last_number_ = 0;
  bool refused_ = false;  // what a refusal made room for is served by serve_decided
};

}  // namespace stint::core
