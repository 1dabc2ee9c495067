// The frames between the daemon and the zygote, which starts workers and clears up after them; what a frame is, worker_frame.hpp
// says.
#pragma once

#include "common/runner_protocol.hpp"

namespace stint::worker {

enum class WorkerRole : std::uint8_t { runner, host };

/// Daemon to zygote: start a worker called `name`.
struct SpawnWorker {
  static constexpr FrameKind kind = FrameKind::spawn_worker;
  WorkerRole role = WorkerRole::runner;
  std::string name;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f.choice(s.role, WorkerRole::host);
    f(s.name);
  }
};

struct Spawned {
  static constexpr FrameKind kind = FrameKind::spawned;
  std::string name;
  std::int32_t pid = 0;
  std::string error;  ///< not empty: it was not started
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.name, s.pid, s.error);
  }
};

/// A run that had begun and had not ended, and what of its output lies in files.
struct BegunRun {
  Run run;
  std::optional<KeptStream> out;
  std::optional<KeptStream> err;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run, s.out, s.err);
  }
};

/// What the slot file of a dead runner says; what is in neither list never began. The trees of what was begun are gone.
/// What had ended long ago and is on record may be there too.
struct FoundRuns {
  std::vector<BegunRun> begun;
  std::vector<RunEnded> ended;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.begun, s.ended);
  }
};

/// Dead, and all that it had started is gone too. Its folder stays where it tells of runs, until RemoveWorker.
struct Died {
  static constexpr FrameKind kind = FrameKind::died;
  std::string name;
  std::int32_t pid = 0;
  std::int32_t wait_status = 0;  ///< as waitpid gives it; unknown_wait_status of one that was not the zygote's child
  FoundRuns runs;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.name, s.pid, s.wait_status, s.runs);
  }
};

inline constexpr std::int32_t unknown_wait_status = -1;

/// Daemon to zygote: look through the folders of all workers. Those of the dead are cleared as Died says; living hosts of
/// an earlier daemon are ended; living runners are reported and not touched.
struct Sweep {
  static constexpr FrameKind kind = FrameKind::sweep;
  template <class Self, class Fields>
  static void each(Self&, Fields&) {}
};

/// A dead worker.
struct SweptWorker {
  std::string name;
  FoundRuns runs;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.name, s.runs);
  }
};

struct LivingWorker {
  std::string name;
  std::int32_t pid = 0;  ///< as the worker noted it
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.name, s.pid);
  }
};

struct Swept {
  static constexpr FrameKind kind = FrameKind::swept;
  std::vector<SweptWorker> workers;
  std::vector<LivingWorker> alive;  ///< runners that are not this zygote's children
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.workers, s.alive);
  }
};

/// Daemon to zygote: this runner, which is not the zygote's child, has ended. Answered by Died.
struct ClearWorker {
  static constexpr FrameKind kind = FrameKind::clear_worker;
  std::string name;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.name);
  }
};

/// Daemon to zygote: what the folder of this dead worker tells is on record.
struct RemoveWorker {
  static constexpr FrameKind kind = FrameKind::remove_worker;
  std::string name;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.name);
  }
};

}  // namespace stint::worker
