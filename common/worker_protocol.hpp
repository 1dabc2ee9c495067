// The frames between the daemon and its workers: zygote (starts workers) and runner (runs programs).
//
// Compact and binary, host byte order (both ends run on one machine and come from one build); each frame has one field
// list that both encodes and decodes. Nothing that is read is trusted: every length and every choice is checked, and a
// frame that is short, long or unknown throws Error `internal_error`. Values only, any thread. How frames become
// packets is common/packet_link.hpp's business.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/job.hpp"
#include "common/time.hpp"

namespace stint::worker {

/// First byte of each packet; another one is refused.
inline constexpr std::uint8_t protocol_version = 1;
/// Largest frame: a command, an environment and a whole standard input together.
inline constexpr std::size_t frame_bytes_max = 48U << 20U;

enum class FrameKind : std::uint8_t {
  hello = 1,
  welcome,
  begin,
  started,
  stopping,
  ended,
  stop,
  signal,
  input,
  read_output,
  done,
  piece,
  grant,
  slots_free,
  recall,
  returned,
  recorded,
  set_pool = 24,
  drop_pool,
  message,
  answered,
  progress,
  spawn_worker = 32,
  spawned,
  died,
  sweep,
  swept,
  clear_worker,
  remove_worker,
};

/// Appends fields to a string.
class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}

  template <class... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }
  template <class E>
  void choice(const E& value, E) {
    put(static_cast<std::uint8_t>(value));
  }

 private:
  template <class T>
  requires std::is_integral_v<T>
  void put(T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out_.append(bytes, sizeof value);
  }
  void put(const std::string& value) {
    put(static_cast<std::uint32_t>(value.size()));
    out_ += value;
  }
  void put(Duration value) { put(static_cast<std::int64_t>(value.count())); }
  void put(Time value) { put(static_cast<std::int64_t>(value.time_since_epoch().count())); }
  template <class T>
  void put(const std::optional<T>& value) {
    put(static_cast<std::uint8_t>(value.has_value()));
    if (value) put(*value);
  }
  template <class T>
  void put(const std::vector<T>& values) {
    put(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values) put(value);
  }
  template <class T>
  requires requires(const T& t, Encoder& e) { T::each(t, e); }
  void put(const T& value) { T::each(value, *this); }

  std::string& out_;
};

/// Takes fields out of bytes. Throws Error where they are not what the field list says.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}

  template <class... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  template <class E>
  void choice(E& value, E last) {
    std::uint8_t raw = 0;
    get(raw);
    if (raw > static_cast<std::uint8_t>(last)) throw malformed();
    value = static_cast<E>(raw);
  }
  /// To be called when all fields are read: bytes left over are as wrong as bytes missing.
  void finish() const {
    if (!rest_.empty()) throw malformed();
  }

  [[nodiscard]] static Error malformed() { return {ErrorKind::internal_error, "a frame between daemon and worker is malformed"}; }

 private:
  std::string_view take(std::size_t bytes) {
    if (bytes > rest_.size()) throw malformed();
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  template <class T>
  requires std::is_integral_v<T>
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t raw = 0;
      get(raw);
      if (raw > 1) throw malformed();
      value = raw != 0;
    } else {
      std::memcpy(&value, take(sizeof value).data(), sizeof value);
    }
  }
  void get(std::string& value) {
    std::uint32_t size = 0;
    get(size);
    value = take(size);
  }
  void get(Duration& value) {
    std::int64_t count = 0;
    get(count);
    value = Duration{count};
  }
  void get(Time& value) {
    std::int64_t count = 0;
    get(count);
    value = Time{Duration{count}};
  }
  template <class T>
  void get(std::optional<T>& value) {
    bool present = false;
    get(present);
    value.reset();
    if (present) get(value.emplace());
  }
  template <class T>
  void get(std::vector<T>& values) {
    std::uint32_t size = 0;
    get(size);
    if (size > rest_.size()) throw malformed();  // each element takes a byte at least: no huge reserve on a lie
    values.clear();
    values.reserve(size);
    for (std::uint32_t i = 0; i < size; ++i) get(values.emplace_back());
  }
  template <class T>
  requires requires(T& t, Decoder& d) { T::each(t, d); }
  void get(T& value) { T::each(value, *this); }

  std::string_view rest_;
};

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

/// Runner to daemon: all that it had from before has been told.
struct Welcome {
  static constexpr FrameKind kind = FrameKind::welcome;
  std::int32_t pid = 0;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.pid);
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
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.question, s.run, s.bytes, s.end);
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

/// A frame as it lies in its packet: valid as long as the bytes are.
struct FrameView {
  FrameKind kind{};
  std::string_view payload;
};

/// Throws Error where the payload is not a Frame.
template <class Frame>
[[nodiscard]] Frame decode(const FrameView& view) {
  Frame frame;
  Decoder decoder(view.payload);
  Frame::each(frame, decoder);
  decoder.finish();
  return frame;
}

/// Appends length, kind and fields.
template <class Frame>
void encode(std::string& out, const Frame& frame) {
  const std::size_t at = out.size();
  out.append(4, '\0');
  out += static_cast<char>(Frame::kind);
  Encoder encoder(out);
  Frame::each(frame, encoder);
  const auto length = static_cast<std::uint32_t>(out.size() - at - 4);
  std::memcpy(out.data() + at, &length, sizeof length);
}

/// Takes one whole frame off the front of `bytes`; nothing where it is not all there. Throws Error for a length that
/// no frame has.
[[nodiscard]] std::optional<FrameView> next_frame(std::string_view& bytes);

}  // namespace stint::worker
