// Counted permits, and who waits for them: locks, semaphores and concurrency keys, for queued jobs and for calls alike.
//
// A waiter needs permits of one or more resources, all or none, and keeps its place in the line of each. A freed permit goes to
// the first in line whose whole need can be met. Who has been passed `passes_max` times, or for `passed_max`, while it stood
// first is passed no more. A call takes its permits when it is granted. A job needs a slot too, so it is *offered* its permits:
// it is ready, and takes them when it starts. Where it has not started by the time of `yield`, because it lacks a slot, calls
// behind it may have them; a job that goes before it may at any time.
//
// A waiter that lacks something is parked at one resource that it lacks, in a line of those who need as much, and is looked at
// again when that resource changes: nobody walks through those who wait. A value of the core: no I/O, no clock. Throws
// std::bad_alloc only.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/json_map.hpp"
#include "daemon/core/line.hpp"

namespace stint::core {

enum class PermitKind : std::uint8_t { lock, semaphore, concurrency };

}  // namespace stint::core

template <>
struct stint::json::EnumNames<stint::core::PermitKind> {
  static constexpr std::array<std::string_view, 3> names{"lock", "semaphore", "concurrency"};
};

namespace stint::core {

/// Permits of one resource.
struct Need {
  static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

  PermitKind kind{};
  std::string name;
  std::uint64_t permits = 1;
  std::uint64_t limit = unlimited;  ///< of a concurrency key: waits while so many are out
};

/// Who waits or holds: a job's id, or `of_call` for calls.
using WaiterId = std::uint64_t;
[[nodiscard]] constexpr WaiterId of_call(std::uint64_t call) { return call | (std::uint64_t{1} << 63U); }
[[nodiscard]] constexpr bool is_call(WaiterId id) { return (id >> 63U) != 0; }

class Admission {
 public:
  static constexpr std::uint64_t passes_max = 100;
  static constexpr Duration passed_max = std::chrono::seconds(60);

  /// What has become of waiters, in order.
  struct Change {
    enum class Kind : std::uint8_t { granted, ready, not_ready } kind{};
    WaiterId id = 0;
  };
  struct Lack {
    PermitKind kind{};
    std::string name;
    std::uint64_t ahead = 0;  ///< waiters before it in the line
  };
  struct Holding {
    PermitKind kind{};
    std::string_view name;
    std::uint64_t permits = 0;
    std::uint64_t limit = Need::unlimited;
  };
  struct ResourceState {
    PermitKind kind{};
    std::string_view name;
    std::uint64_t capacity = 0;
    std::uint64_t used = 0;
    std::vector<std::pair<WaiterId, std::uint64_t>> holders;
    std::uint64_t waiting = 0;
    std::vector<std::pair<WaiterId, std::uint64_t>> waiters;  ///< the first of them, in order
  };

  // ---- events; each appends to `changes`

  /// Sets the size of a semaphore, which is there from then on; one of 0 permits until nobody holds or waits for any.
  void resize(const std::string& name, std::uint64_t permits, Time now);
  /// `place.id` is the waiter. A job's needs are met when it is ready and takes them.
  void join(Place place, const std::vector<Need>& needs, Time now);
  /// A ready job starts. False where that is not possible any more: it waits again.
  [[nodiscard]] bool take(WaiterId job, Time now);
  /// Holds from before the daemon's start, whatever that comes to.
  void restore(Place place, const std::vector<Need>& needs, Time now);
  /// The waiter leaves the lines, or the holder gives everything back. Nothing where it is unknown.
  void leave(WaiterId id, Time now);

  /// Whoever was ready and could start has started: what is still offered may be had by calls that wait behind.
  void yield(Time now);
  [[nodiscard]] bool is_contested() const { return !contested_.empty(); }

  std::vector<Change> changes;  ///< to be taken out by the caller

  // ---- questions
  [[nodiscard]] bool knows(WaiterId id) const { return waiters_.contains(id); }
  [[nodiscard]] bool holds(WaiterId id) const;
  [[nodiscard]] bool is_ready(WaiterId id) const;
  /// What it waits for; empty where it does not, or for a slot only.
  [[nodiscard]] std::vector<Lack> lacks(WaiterId id) const;
  [[nodiscard]] std::vector<Holding> needs_of(WaiterId id) const;
  /// 0 where there is no such semaphore.
  [[nodiscard]] std::uint64_t size_of(std::string_view name) const;
  [[nodiscard]] std::vector<std::string_view> names(PermitKind kind) const;
  [[nodiscard]] std::vector<ResourceState> list(PermitKind kind, std::size_t waiters_max) const;
  /// The holders of a resource, with its size; none where nobody holds any.
  [[nodiscard]] ResourceState state_of(PermitKind kind, std::string_view name) const;

  /// Re-derives every count and index from the waiters; throws std::logic_error that names the first difference.
  void check() const;

 private:
  struct Resource;
  struct Part {
    Resource* resource = nullptr;
    std::uint64_t permits = 0;
    std::uint64_t limit = Need::unlimited;
    std::uint64_t joined = 0;  // Resource::passes that were over when it joined
  };
  enum class Stage : std::uint8_t { parked, ready, holding };
  struct Waiter {
    Place place;
    Stage stage = Stage::parked;
    std::uint32_t parked_at = 0;  // which of its parts
    std::vector<Part> parts;
  };
  /// Those who are alike in what they need of a resource: where the first does not fit, none does.
  using Alike = std::tuple<bool, std::uint64_t, std::uint64_t>;  // is a call, permits, limit
  struct Pass {
    Place by;
    Time at;
  };
  struct Resource {
    PermitKind kind{};
    std::string name;
    std::uint64_t capacity = 0;
    std::uint64_t used = 0;
    std::uint64_t offered = 0;  // to the ready
    Line line;                  // all who wait, the ready too
    std::map<Alike, Line> parked;
    std::set<Place> ready;
    std::map<WaiterId, std::uint64_t> holders;
    std::set<Place> stubborn;  // are passed no more
    std::deque<Pass> passes;   // since the line was empty
    std::uint64_t passes_dropped = 0;
    bool dirty = false;
  };
  using Resources = std::map<std::pair<PermitKind, std::string>, Resource, std::less<>>;

  Resource& resource(PermitKind kind, const std::string& name);
  [[nodiscard]] const Resource* find(PermitKind kind, std::string_view name) const;
  Waiter& add(Place place, const std::vector<Need>& needs);
  /// The permits are there and nobody stands before it who is passed no more.
  [[nodiscard]] bool fits(const Waiter& waiter, const Part& part) const;
  /// The same, whatever is offered to others.
  [[nodiscard]] bool fits_beside_offers(const Waiter& waiter, const Part& part) const;
  [[nodiscard]] bool blocked(const Waiter& waiter, const Resource& resource) const;
  void note_stubborn(const Waiter& newcomer, Resource& resource, Time now);
  void note_pass(const Waiter& waiter, Time now);
  void serve(Waiter& waiter, Time now);
  void grant(Waiter& waiter, Time now);
  void park(Waiter& waiter, std::size_t part);
  void unpark(Waiter& waiter);
  void hold(Waiter& waiter, Time now);
  void withdraw(Waiter& waiter, std::size_t lacking);
  void make_room(Resource& resource, std::uint64_t permits);
  void leave_lines(Waiter& waiter);
  void touch(Resource& resource);
  void settle(Time now);
  void wake(Resource& resource, Time now);
  void drop_if_unused(Resource& resource);
  [[nodiscard]] static Alike alike(const Waiter& waiter, const Part& part) {
    return {is_call(waiter.place.id), part.permits, part.limit};
  }

  Resources resources_;  // nodes do not move
  std::unordered_map<WaiterId, Waiter> waiters_;
  std::vector<Resource*> dirty_;
  std::set<Resource*> contested_;  // a call waits for what is offered to jobs before it
};

}  // namespace stint::core
