// Facts about what is no job: channels, events, semaphores, leases; and how a start of the daemon finds them again. Values only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/json.hpp"

namespace stint::core {

/// A durable channel as it is now.
struct ChannelFact {
  std::uint64_t channel = 0;  ///< its number
  std::string name;
  std::uint64_t capacity = 0;
  bool closed = false;
  bool removed = false;  ///< with all that is in it
  bool made = false;     ///< it was not there, or that may still be refused: new work
};
struct ChannelPutFact {
  std::uint64_t channel = 0;
  std::int64_t position = 0;
  std::shared_ptr<const json::Raw> value;
  bool returned = false;  ///< it was taken and could not be handed over: not new work
};
struct ChannelTakeFact {
  std::uint64_t channel = 0;
  std::vector<std::int64_t> positions;
};
struct EventFact {
  std::string name;
  bool set = false;  ///< then new work
};

/// A semaphore has this size.
struct SemaphoreFact {
  std::string name;
  std::uint64_t permits = 0;
  bool made = false;  ///< as of a channel
};
/// Somebody holds permits. New work: a store without room refuses it.
struct LeaseFact {
  std::uint64_t lease = 0;
  bool is_lock = false;
  std::string name;
  std::uint64_t permits = 0;
  std::uint64_t job = 0;  ///< 0: a connection's
  std::string owner;
  bool bound_anew = false;  ///< it was held before, and is the job's now: not new work
};
struct ReleaseFact {
  std::uint64_t lease = 0;
};

/// A durable channel as a start of the daemon finds it.
struct StoredChannel {
  std::uint64_t channel = 0;
  std::string name;
  std::uint64_t capacity = 0;
  bool closed = false;
  std::vector<std::pair<std::int64_t, std::shared_ptr<const json::Raw>>> items;  ///< from the head
};

}  // namespace stint::core
