// The frames between the daemon and a runner that are about programs; what a frame is, worker_frame.hpp says.
#pragma once

#include "common/job.hpp"
#include "common/worker_frame.hpp"

namespace stint::worker {

/// One run of a job: what an answer or an order is about.
struct Run {
  JobId job = 0;
  Attempt attempt = 0;
  auto operator<=>(const Run&) const = default;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.job, s.attempt);
  }
};

/// Processes of pools have numbers of their own where programs have a job's: above every id, so that no process is taken
/// for another's.
inline constexpr std::uint64_t pool_worker_bit = 1ULL << 63U;
[[nodiscard]] inline bool is_pool_worker(const Run& run) { return (run.job & pool_worker_bit) != 0; }

/// Daemon to runner, first on each connection. Its epoch must be larger than that of each daemon before, else the runner
/// closes the connection; one that is there is replaced. What the runner has is told, then Welcome: a RunStarted for each
/// program that lives (it holds a slot; no other slot is the runner's then), RunStopping where that is so, a RunEnded for
/// each end that is not on record.
struct Hello {
  static constexpr FrameKind kind = FrameKind::hello;
  std::uint32_t epoch = 0;  ///< of this daemon; packets of another epoch are ignored from now on
  /// STINT_INSTANCE of the jobs; that of the runner's first daemon stays, for it is what its programs are found by.
  std::string instance;
  std::string socket_path;  ///< STINT_SOCKET of the jobs
  std::string out_dir;      ///< where output above limits::output_inline_bytes_max is kept
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.epoch, s.instance, s.socket_path, s.out_dir);
  }
};

/// Which later fields a runner understands: those of its revision and of all before. 1: FeedInput::offset.
inline constexpr std::uint32_t runner_revision = 1;

/// Runner to daemon: all that it had from before has been told.
struct Welcome {
  static constexpr FrameKind kind = FrameKind::welcome;
  std::int32_t pid = 0;
  std::optional<std::uint32_t> revision;  ///< runner_revision of its build; without: 0
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.pid);
    f.later(s.revision);
  }
};

struct EnvEntry {
  std::string name;
  std::string value;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.name, s.value);
  }
};

enum class InputKind : std::uint8_t { empty, bytes, file, stream };
enum class OutputKind : std::uint8_t { capture, null, file, to_stdout };

struct OutputOrder {
  OutputKind output = OutputKind::capture;
  std::string path;
  bool append = false;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f.choice(s.output, OutputKind::to_stdout);
    f(s.path, s.append);
  }
};

/// Daemon to runner: run this program. A runner holds as many slots as it was given and has not given back; what it
/// cannot begin for want of a slot waits with it, in order, and takes the slot of the first that ends there: so the next
/// program does not wait for a word from the daemon.
struct Begin {
  static constexpr FrameKind kind = FrameKind::begin;
  Run run;
  bool with_slot = true;  ///< gives a slot too
  std::vector<std::string> argv;
  std::vector<EnvEntry> env;
  bool clean_env = false;
  std::optional<std::string> cwd;
  std::uint32_t umask = 077;
  std::optional<std::string> name;
  std::optional<std::string> group;
  std::optional<std::string> item;
  InputKind input = InputKind::empty;
  std::string input_data;  ///< the bytes or the path
  OutputOrder out;
  OutputOrder err;
  std::uint64_t output_limit = 0;
  std::optional<Duration> timeout;
  Duration grace{};
  Leftovers leftovers = Leftovers::kill;
  bool durable = true;  ///< goes on when the daemon is gone
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run, s.with_slot, s.durable, s.argv, s.env, s.clean_env, s.cwd, s.umask, s.name, s.group, s.item);
    f.choice(s.input, InputKind::stream);
    f(s.input_data, s.out, s.err, s.output_limit, s.timeout, s.grace);
    f.choice(s.leftovers, Leftovers::keep);
  }
};

struct RunStarted {
  static constexpr FrameKind kind = FrameKind::started;
  Run run;
  std::int32_t pid = 0;
  Time at{};
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run, s.pid, s.at);
  }
};

/// Its timeout has passed and it was told to stop.
struct RunStopping {
  static constexpr FrameKind kind = FrameKind::stopping;
  Run run;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run);
  }
};

struct KeptStream {
  std::uint64_t bytes = 0;
  bool truncated = false;
  bool in_file = false;
  std::string content;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.bytes, s.truncated, s.in_file, s.content);
  }
};

enum class Ending : std::uint8_t { exited, signalled, not_started };

struct RunEnded {
  static constexpr FrameKind kind = FrameKind::ended;
  Run run;
  Ending ending = Ending::exited;
  std::int32_t code = 0;  ///< exit code (126 or 127 where it was not started), or the signal
  std::string message;    ///< of not_started
  bool timed_out = false;
  bool stopped = false;
  Duration user{};
  Duration system{};
  std::uint64_t max_rss = 0;
  std::optional<KeptStream> out;
  std::optional<KeptStream> err;
  Time started_at{};  ///< zero where it was not started
  Time finished_at{};
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run);
    f.choice(s.ending, Ending::not_started);
    f(s.code, s.message, s.timed_out, s.stopped, s.user, s.system, s.max_rss, s.out, s.err, s.started_at, s.finished_at);
  }
};

/// Daemon to runner: more slots, for what waits there.
struct Grant {
  static constexpr FrameKind kind = FrameKind::grant;
  std::uint32_t slots = 0;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.slots);
  }
};

/// Runner to daemon: slots that nothing needs here; they are the daemon's again.
struct SlotsFree {
  static constexpr FrameKind kind = FrameKind::slots_free;
  std::uint32_t slots = 0;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.slots);
  }
};

/// Daemon to runner: give this run back if it has not begun.
struct RecallRun {
  static constexpr FrameKind kind = FrameKind::recall;
  Run run;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run);
  }
};

/// Runner to daemon: this run has not begun and never will here.
struct RunReturned {
  static constexpr FrameKind kind = FrameKind::returned;
  Run run;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run);
  }
};

/// Daemon to runner: the end of this run is on record, it may be forgotten.
struct RunRecorded {
  static constexpr FrameKind kind = FrameKind::recorded;
  Run run;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run);
  }
};

struct StopRun {
  static constexpr FrameKind kind = FrameKind::stop;
  Run run;
  bool force = false;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run, s.force);
  }
};

/// A question is a number of the daemon's choice that comes back with the answer (Done or Piece).
struct SignalRun {
  static constexpr FrameKind kind = FrameKind::signal;
  std::uint64_t question = 0;
  Run run;
  std::int32_t signal = 0;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.question, s.run, s.signal);
  }
};

struct FeedInput {
  static constexpr FrameKind kind = FrameKind::input;
  std::uint64_t question = 0;
  Run run;
  std::string bytes;
  bool end = false;
  std::optional<std::uint64_t> offset;  ///< as InputPiece::offset
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.question, s.run, s.bytes, s.end);
    f.later(s.offset);
  }
};

struct ReadOutput {
  static constexpr FrameKind kind = FrameKind::read_output;
  std::uint64_t question = 0;
  Run run;
  StreamName of = StreamName::out;
  std::uint64_t offset = 0;
  std::uint64_t limit = 0;
  bool wait = false;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.question, s.run);
    f.choice(s.of, StreamName::err);
    f(s.offset, s.limit, s.wait);
  }
};

struct Refusal {
  ErrorKind error = ErrorKind::internal_error;
  std::string message;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f.choice(s.error, ErrorKind::purged);
    f(s.message);
  }
};

struct Done {
  static constexpr FrameKind kind = FrameKind::done;
  std::uint64_t question = 0;
  std::optional<Refusal> refusal;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.question, s.refusal);
  }
};

struct Piece {
  static constexpr FrameKind kind = FrameKind::piece;
  std::uint64_t question = 0;
  std::string bytes;
  std::uint64_t offset = 0;
  std::uint64_t next = 0;
  bool end = false;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.question, s.bytes, s.offset, s.next, s.end);
  }
};

}  // namespace stint::worker
