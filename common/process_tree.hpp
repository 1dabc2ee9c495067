// Finds and kills the processes of a run: those with its pid, its session, its marker in /proc/PID/environ, its output
// pipes, and the descendants of all these.
//
// A scan reads /proc once for any number of runs. Killing is scan, signal (through a pidfd, after a second look), and
// scan again until enough scans in a row find nothing: that catches even what forks without pause. Zombies do not count.
// Never finds the caller itself or pid 1. Nothing here sleeps but `kill_trees`. Any thread; throws only bad_alloc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace stint {

/// What the processes of one run are known by.
struct TreeMarks {
  pid_t main = 0;             ///< its first process; 0 once that has been reaped
  pid_t session = 0;          ///< the session that the first process made
  std::string instance;       ///< STINT_INSTANCE in the environment
  std::uint64_t job = 0;      ///< STINT_JOB_ID, or STINT_POOL_WORKER
  std::uint32_t attempt = 0;  ///< STINT_ATTEMPT; 0 of a pool's worker
  std::vector<ino_t> pipes;   ///< its output pipes; looking for them is slow: only where nothing else is left to find
  /// Where `main` was not this process's child all the time: field 22 of its stat must be near this. 0: not checked.
  std::uint64_t start_ticks = 0;
};

struct TreeProcess {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
};

/// Who may belong to a run by its environment alone. A subreaper that all its runs began under has adopted whatever
/// they lost, so it need not look into anybody else: that makes a scan several times faster.
enum class Reach : std::uint8_t { adopted, everybody };

/// The living processes of each of `runs`, in their order, the first process of a run and then the oldest first: a parent
/// that is signalled after its child may take the child's end for its own affair. `others` are runs whose processes must not be
/// taken for anybody else's (it also saves looking into them).
[[nodiscard]] std::vector<std::vector<TreeProcess>> find_trees(const std::vector<TreeMarks>& runs,
                                                               const std::vector<TreeMarks>& others,
                                                               Reach reach = Reach::everybody);

/// Signals one process that a scan has found, if it is still the same.
void signal_process(const TreeProcess& process, int signal);

/// Scans in a row that must find nothing before a tree counts as gone.
inline constexpr int empty_scans_needed = 20;

/// Kills with SIGKILL until everything is gone, with pauses of about a millisecond: for callers that may block. Reaps no
/// children but those that `reap` takes (called after each scan).
void kill_trees(const std::vector<TreeMarks>& runs, void (*reap)(), Reach reach = Reach::everybody);

}  // namespace stint
