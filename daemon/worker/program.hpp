// The step machine of one program on a runner: running, leftovers, ended.
//
// It is told what happens (spawned, exited, bytes, a scan of /proc, timers, requests) and acts through its ProgramHost.
// It ends, once, when its own process has ended, its tree is gone (or is to be kept) and its pipes are drained. The
// runner's thread; throws only bad_alloc and what the event loop throws.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "common/process_tree.hpp"
#include "common/slot_file.hpp"
#include "daemon/worker/capture.hpp"
#include "daemon/worker/children.hpp"
#include "daemon/worker/event_loop.hpp"
#include "daemon/worker/input.hpp"
#include "daemon/worker/spawn.hpp"

namespace stint::worker {

class Program;

/// What a program needs of its runner.
class ProgramHost {
 public:
  virtual ~ProgramHost() = default;
  virtual EventLoop& loop() = 0;
  virtual const Hello& hello() = 0;
  virtual void write_slot(std::size_t slot, const SlotRecord& record) = 0;
  /// A scan of /proc is wanted in `delay`; `on_scan` is called with what it finds.
  virtual void want_scan(Clock::duration delay) = 0;
  /// A process that some program of this runner left behind is alive.
  virtual bool orphans_alive() = 0;
  /// How many such processes have ended so far.
  virtual std::uint64_t orphans_ended() = 0;
  virtual void send(const RunStarted& frame) = 0;
  virtual void send(const RunStopping& frame) = 0;
  virtual void send(const Done& frame) = 0;
  virtual void send(const Piece& frame) = 0;
  /// Called before an end is written: without a daemon the outputs go into files first.
  virtual void secure(const Begin& order, RunEnded& ended) = 0;
  /// It has ended, that is in its slot, and it may be destroyed after this turn.
  virtual void on_program_ended(Program& program, RunEnded ended) = 0;
};

class Program {
 public:
  Program(ProgramHost& host, Begin order, std::size_t slot, std::array<char, 16> boot);

  [[nodiscard]] const Run& run() const { return order_.run; }
  [[nodiscard]] std::size_t slot() const { return slot_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] const Begin& order() const { return order_; }
  /// Its own process has ended; what it left may live.
  [[nodiscard]] bool has_exited() const { return exit_.has_value(); }
  /// For the next stop.
  void set_grace(Duration grace) { order_.grace = grace; }

  /// Notes in the slot file that it is about to begin.
  void begin();
  void on_spawned(SpawnResult result);
  /// Its process has ended before it was the program.
  void on_not_started(SpawnFailure failure);
  /// It has lived for a while: its start is told and its output watched. What is over before costs neither, its output
  /// lies in its pipes until it is drained at the end.
  void settle();
  void on_exit(const ChildExit& exit);
  /// It has run for long: its output is not to end with this process, however little it is.
  void write_out();
  /// Its daemon is gone: whoever asked is not answered any more.
  void forget_askers();
  /// Tells a new daemon of it, unless it has ended.
  void introduce();
  void stop(bool force);
  void signal(const SignalRun& question);
  void feed(FeedInput question);
  void read(const ReadOutput& question);

  /// What its processes are known by.
  [[nodiscard]] TreeMarks marks() const;
  [[nodiscard]] bool wants_scan() const { return wish_ != Wish::none; }
  void on_scan(const std::vector<TreeProcess>& found);
  /// No program of this runner has left anything: ends it, if its own process has ended and its pipes have too.
  void on_no_orphans();

 private:
  enum class Phase : std::uint8_t { running, leftovers, ended };
  /// What the next scan is for: one request to end, killing until nothing is found, or looking whether anything is left.
  enum class Wish : std::uint8_t { none, terminate, kill, probe };
  struct Stream {
    StreamName name{};
    std::optional<Capture> capture;
    std::unique_ptr<Watch> watch;
  };

  Stream& stream(StreamName of) { return of == StreamName::out ? out_ : err_; }
  void open_stream(Stream& stream, UniqueFd pipe, const OutputOrder& output);
  void watch_stream(Stream& stream);
  void tell_start();
  void on_readable(Stream& stream);
  bool drain(Stream& stream);
  /// In the slot file: how much of the output lies on disk.
  void note_output();
  void drain_all();
  [[nodiscard]] bool streams_at_end() const;
  void answer_parked();
  [[nodiscard]] bool answer(const ReadOutput& question, bool must);

  void open_input(UniqueFd pipe);
  void pump_input();
  void report(const Input::Answers& answers);
  /// Why a piece cannot be taken, if so.
  [[nodiscard]] std::optional<Refusal> why_not(const FeedInput& piece) const;

  void arm(Clock::duration delay, void (Program::*on_due)());
  void on_timeout();
  void ask_to_stop();
  void note_kill_scan(bool empty);
  void kill_tree();
  void end();
  [[nodiscard]] RunEnded take_end();

  ProgramHost& host_;
  Begin order_;
  std::size_t slot_;
  SlotRecord record_;
  Phase phase_ = Phase::running;
  bool settled_ = false;
  Time started_at_{};
  Wish wish_ = Wish::none;
  pid_t pid_ = 0;
  std::optional<SpawnFailure> spawn_failure_;
  std::optional<ChildExit> exit_;
  Time finished_at_{};
  bool timed_out_ = false;
  bool stopped_ = false;
  bool terminated_ = false;  // its leftovers have been asked to end
  int empty_scans_ = 0;
  int kill_scans_ = 0;
  std::uint64_t orphans_ended_ = 0;  // at the last scan of a kill
  int probes_ = 0;
  Stream out_{StreamName::out, {}, {}};
  Stream err_{StreamName::err, {}, {}};
  std::optional<Input> input_;
  std::unique_ptr<Watch> input_watch_;
  std::vector<ReadOutput> parked_;
  std::unique_ptr<Timer> timer_;
  void (Program::*on_due_)() = nullptr;
};

}  // namespace stint::worker
