// The first Store: keeps everything in memory, and answers as a store on disk does: later, in batches, from another
// thread. Keeps nothing beyond the process.
//
// Threads, batches and errors are those of ThreadedStore. It has no failure to tell of.
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>

#include "daemon/db/threaded_store.hpp"

namespace stint::db {

class MemoryStore final : public ThreadedStore {
 public:
  /// For tests: a store that is slow and short of room, at random but the same for the same seed and batches.
  struct Trouble {
    std::uint64_t seed = 0;
    std::chrono::microseconds delay_max{0};  ///< before each batch, 0 … this
    double refuse = 0;                       ///< probability that new work is refused, for each Persist
  };

  explicit MemoryStore(Post post) : MemoryStore(std::move(post), Trouble{}) {}
  MemoryStore(Post post, Trouble trouble);

  Recovered recover() override { return {}; }
};

}  // namespace stint::db
