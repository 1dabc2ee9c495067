// The daemon's end of one runner: orders and questions out, reports and answers in.
//
// It knows which runs are on its runner and which questions are unanswered, so that when the runner is lost nothing is
// forgotten: the runs are handed back, the questions are answered with `unavailable`, unless they may be asked again. A runner
// that was taken over tells first what it has from before; until it has said all, nothing is begun there. I/O thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/exec/executor.hpp"
#include "daemon/exec/packet_socket.hpp"
#include "daemon/exec/workers.hpp"

namespace stint::exec {

/// `unavailable`.
[[nodiscard]] Error runner_lost();

class RunnerLink {
 public:
  /// Who is told what the runner reports.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_run_started(RunnerLink& link, const worker::RunStarted& started) = 0;
    virtual void on_run_stopping(const worker::RunStopping& stopping) = 0;
    virtual void on_run_ended(RunnerLink& link, worker::RunEnded ended) = 0;
    virtual void on_run_returned(const worker::Run& run) = 0;
    virtual void on_slots_free(std::uint32_t slots) = 0;
    /// A runner that was taken over has a run that lives, and holds a slot.
    virtual void on_run_found(RunnerLink& link, const worker::RunStarted& started) = 0;
    /// The same of one that has ended.
    virtual void on_ended_run_found(RunnerLink& link, worker::RunEnded ended) = 0;
    /// It has told all that it had from before.
    virtual void on_runner_answered(RunnerLink& link) = 0;
    /// The connection broke, which is no death: that is told by Workers.
    virtual void on_runner_lost(RunnerLink& link) = 0;
  };

  /// `taken_over`: it may have runs of an earlier daemon.
  RunnerLink(boost::asio::io_context& io, Worker worker, bool taken_over, const worker::Hello& hello, Listener& listener);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool is_open() const { return socket_.is_open(); }
  /// Something may be begun there.
  [[nodiscard]] bool is_up() const { return is_open() && answered_; }
  [[nodiscard]] bool has_answered() const { return answered_; }
  /// When it was made.
  [[nodiscard]] std::chrono::steady_clock::time_point since() const { return since_; }
  [[nodiscard]] const std::set<worker::Run>& runs() const { return runs_; }
  /// Slots that the runner holds.
  [[nodiscard]] std::uint32_t slots() const { return slots_; }
  /// Runs there that have no slot.
  [[nodiscard]] std::uint32_t lacking() const;

  /// `with_slot`: gives it one.
  void begin(worker::Begin order, bool with_slot);
  void grant(std::uint32_t slots);
  void recall(const worker::Run& run) { socket_.post(worker::RecallRun{run}); }
  void recorded(const worker::Run& run) { socket_.post(worker::RunRecorded{run}); }
  void stop(const worker::Run& run, bool force) { socket_.post(worker::StopRun{run, force}); }
  void signal(const worker::Run& run, int signal, DoneCallback done);
  void write_input(const worker::Run& run, InputPiece piece, DoneCallback done);
  void read_output(const worker::ReadOutput& query, OutputCallback done);

  /// The slots that it held; it has none from now on.
  [[nodiscard]] std::uint32_t take_slots() { return std::exchange(slots_, 0); }
  /// Reads that were not answered, to be asked elsewhere: nobody fails them any more.
  struct Read {
    worker::ReadOutput query;
    OutputCallback done;
  };
  [[nodiscard]] std::vector<Read> take_reads();

  /// Ends the connection: the runner kills the programs that are not durable, and ends when it has none. `why` answers the
  /// questions that are open.
  void close(const Error& why);

 private:
  using Question = std::variant<DoneCallback, Read>;

  void on_frame(const worker::FrameView& frame);
  void on_started(const worker::RunStarted& started);
  void on_ended(worker::RunEnded ended);
  void on_done(const worker::Done& done);
  void on_piece(worker::Piece piece);
  void fail_questions(const Error& why);
  [[nodiscard]] std::uint64_t ask(Question question);

  std::string name_;
  Listener& listener_;
  std::set<worker::Run> runs_;
  std::uint32_t slots_ = 0;
  const std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  bool answered_;
  std::uint32_t revision_ = 0;  // worker::runner_revision of its build
  std::unordered_map<std::uint64_t, Question> questions_;
  std::uint64_t last_question_ = 0;
  PacketSocket socket_;
};

}  // namespace stint::exec
