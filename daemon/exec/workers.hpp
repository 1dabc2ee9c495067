// The daemon's worker processes: started by the zygote, the first, empty worker, and watched by it; runners of an earlier
// daemon that still live are taken over and watched too.
//
// The zygote is started before the daemon has threads; it forks every other worker, because nobody with threads or a
// large heap forks. A worker's death is reported only when everything that the worker had started is gone too (a
// runner's programs are found by their marker and killed). What a dead runner has to tell stays on disk until `remove`.
// I/O thread only.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/unique_fd.hpp"
#include "common/zygote_protocol.hpp"

namespace stint::exec {

enum class WorkerKind : std::uint8_t { runner, host };

struct Worker {
  std::string name;  ///< for example "runner-1"; its directory is STATE/workers/NAME
  pid_t pid = -1;
  UniqueFd socket;  ///< SOCK_SEQPACKET, connected, close-on-exec, non-blocking
};

struct WorkerDeath {
  std::string name;
  pid_t pid = -1;          ///< 0 of one that was found dead
  int wait_status = 0;     ///< as waitpid gives it; worker::unknown_wait_status of one that was taken over
  worker::FoundRuns runs;  ///< of a runner: what it had begun, and is gone, and what had ended
};

/// What earlier daemons have left.
struct Survey {
  std::vector<WorkerDeath> dead;  ///< runners; their programs are gone
  std::vector<Worker> living;     ///< runners, connected to, whether they answer now or are stopped
};

class Workers {
 public:
  virtual ~Workers() = default;

  /// Starts a worker under a new name and connects to it.
  virtual void spawn(WorkerKind kind, std::function<void(std::optional<Error>, Worker)> done) = 0;

  /// `died` is called once for the worker called `name`, when it is dead and its tree is gone.
  virtual void on_death(const std::string& name, std::function<void(WorkerDeath)> died) = 0;

  /// Takes over what earlier daemons have left; `done` is called once, as soon as it has been looked through. May be
  /// called once, before anything is spawned.
  virtual void survey(std::function<void(Survey)> done) = 0;

  /// The connection to this worker broke and nobody has told of its death: `done` gets another connection, `pause` from now
  /// or when it can be had. Not called where the worker dies first.
  virtual void reconnect(const std::string& name, std::chrono::milliseconds pause, std::function<void(UniqueFd)> done) = 0;

  /// All that the runs of a dead runner have told is on record: its folder goes.
  virtual void remove(const std::string& name) = 0;

  /// This runner will live on without us: its death is not told, and `close` does not wait for it.
  virtual void release(const std::string& name) = 0;

  /// Waits until all workers have ended (the executors have closed their sockets, which makes them end), but for those
  /// that were released, then ends the zygote and calls `done`.
  virtual void close(std::function<void()> done) = 0;
};

}  // namespace stint::exec
