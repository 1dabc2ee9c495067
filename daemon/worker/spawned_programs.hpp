// Programs from their spawn on: whose child a process is, and what each has to do when it comes of age.
//
// A program settles a few milliseconds after its spawn, when it is known to have called exec, and writes its output out when it
// has run for a second; most are over before either. The runner's thread. Throws only what Program and the event loop throw.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <unordered_map>

#include "daemon/worker/event_loop.hpp"
#include "daemon/worker/program.hpp"
#include "daemon/worker/spawn.hpp"

namespace stint::worker {

class SpawnedPrograms {
 public:
  /// `find`: the program of a run; null where it is over.
  SpawnedPrograms(EventLoop& loop, std::function<Program*(const Run&)> find);

  /// Its child, if there is one, is told of to the program from now on; of the result the launch is kept here.
  [[nodiscard]] SpawnResult spawn(Program& program, SpawnPlan plan);
  /// Reaps every child that has ended and tells its program. How many were nobody's: orphans of programs.
  std::uint64_t reap();
  /// The program is about to be destroyed.
  void forget(const Program& program);

 private:
  struct Child {
    Program* program = nullptr;
    LaunchPtr launch;  // until it is known to be through
  };
  struct Fresh {
    Program* program = nullptr;
    Clock::time_point since;
    Clock::time_point due;
  };
  struct Young {
    Run run;
    Clock::time_point since;
  };

  /// It is the program, or was. Of one that never will be, its end tells.
  [[nodiscard]] bool has_begun(const Program& program);
  void settle();
  void write_out();

  std::function<Program*(const Run&)> find_;
  Spawner spawner_;
  std::unordered_map<pid_t, Child> by_pid_;
  std::deque<Fresh> fresh_;  // not settled, the next due first
  std::deque<Young> young_;  // settled and perhaps over, oldest first
  Timer settle_timer_;
  Timer write_out_timer_;
};

}  // namespace stint::worker
