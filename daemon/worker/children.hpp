// The runner's children: the one place where they are reaped, and the question whether it has adopted any.
//
// Programs are children of the thread that spawns them, the runner's loop. Orphans, which programs leave behind, the
// kernel gives to the first living thread of the nearest subreaper (kernel/exit.c, find_new_reaper), and that is the
// runner's first thread. So the first thread does nothing but adopt: what it finds with `__WNOTHREAD` are the orphans
// alone, and one call proves that no program has left anything. Throws nothing.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>

namespace stint::worker {

struct ChildExit {
  pid_t pid = 0;
  int status = 0;  ///< as waitpid gives it
  rusage usage{};
};

/// The next child that has ended, if any. The loop's thread only.
[[nodiscard]] std::optional<ChildExit> reap_child();

/// The first thread, as the others see it.
class Adopter {
 public:
  /// Answers questions until `stop`. To be called on the first thread.
  void serve();
  void stop();

  /// True while a process that some program left behind is alive. The loop's thread only. Asks the first thread, but
  /// where there is no child at all the kernel says so at once.
  [[nodiscard]] bool orphans_alive();
  /// How many of them have ended and were reaped here.
  [[nodiscard]] std::uint64_t ended() const { return ended_.load(std::memory_order_acquire); }

 private:
  enum class Word : std::uint32_t { idle, question, yes, no, stop };
  [[nodiscard]] bool children_alive();

  std::atomic<Word> word_{Word::idle};
  std::atomic<std::uint64_t> ended_{0};
};

}  // namespace stint::worker
