#include "daemon/worker/program.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "common/limits.hpp"
#include "daemon/worker/run_end.hpp"

namespace stint::worker {
namespace {

using namespace std::chrono_literals;

constexpr Clock::duration leftovers_grace = 1s;
constexpr Clock::duration kill_scan_pause = 1ms;
/// For so many scans of a kill, about a second, orphans that end are taken for a sign of life.
constexpr int hopping_scans_max = 500;
constexpr Clock::duration probe_pause_max = 32ms;
/// A look for leftovers needs fewer scans than a kill: a scan goes up through the pids, so it meets what is born while
/// it runs.
constexpr int empty_probes_needed = 3;

Duration duration_of(const timeval& value) {
  return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
}

Refusal not_reading() { return {ErrorKind::conflict, "its standard input is closed"}; }

}  // namespace

Program::Program(ProgramHost& host, Begin order, std::size_t slot, std::array<char, 16> boot)
    : host_(host), order_(std::move(order)), slot_(slot) {
  record_.boot_id = boot;
  record_.job = order_.run.job;
  record_.attempt = order_.run.attempt;
}

void Program::begin() {
  record_.state = SlotState::begun;
  record_.start_ticks = ticks_since_boot();
  host_.write_slot(slot_, record_);
}

void Program::on_spawned(SpawnResult result) {
  if (result.failure) return on_not_started(std::move(*result.failure));
  pid_ = result.pid;
  record_.pid = pid_;
  record_.start_ticks = result.start_ticks;
  host_.write_slot(slot_, record_);
  started_at_ = result.started_at;
  open_input(std::move(result.input));
  open_stream(out_, std::move(result.out), order_.out);
  open_stream(err_, std::move(result.err), order_.err);
  if (order_.timeout) arm(*order_.timeout, &Program::on_timeout);
}

void Program::on_not_started(SpawnFailure failure) {
  spawn_failure_ = std::move(failure);
  finished_at_ = wall_now();
  if (!settled_) started_at_ = {};
  for (Stream* stream : {&out_, &err_}) {
    stream->watch.reset();
    stream->capture.reset();
  }
  end();
}

void Program::settle() {
  if (settled_ || phase_ != Phase::running) return;
  tell_start();
  for (Stream* stream : {&out_, &err_}) watch_stream(*stream);
  answer_parked();
}

void Program::write_out() {
  if (phase_ == Phase::ended) return;
  for (Stream* stream : {&out_, &err_}) {
    if (stream->capture) stream->capture->write_out();
  }
  note_output();
}

void Program::note_output() {
  const auto on_disk = [](const Stream& stream) -> std::optional<KeptStream> {
    if (!stream.capture || !stream.capture->on_disk()) return std::nullopt;
    return KeptStream{stream.capture->bytes(), stream.capture->truncated(), true, {}};
  };
  const auto out = on_disk(out_);
  const auto err = on_disk(err_);
  if (!out && !err) return;
  note_outputs(record_, out, err);
  host_.write_slot(slot_, record_);
}

void Program::tell_start() {
  if (std::exchange(settled_, true)) return;
  host_.send(RunStarted{order_.run, pid_, started_at_});
}

void Program::forget_askers() {
  parked_.clear();
  if (input_) input_->forget_askers();
}

void Program::introduce() {
  if (phase_ == Phase::ended) return;
  if (settled_) {
    host_.send(RunStarted{order_.run, pid_, started_at_});
  } else {
    settle();
  }
  if (timed_out_) host_.send(RunStopping{order_.run});
}

void Program::on_exit(const ChildExit& exit) {
  tell_start();
  exit_ = exit;
  finished_at_ = wall_now();
  phase_ = Phase::leftovers;
  const bool killing = wish_ == Wish::kill;
  if (!killing && timer_) timer_->cancel();
  input_watch_.reset();
  if (input_) report(input_->close());
  drain_all();
  const bool keeps = order_.leftovers == Leftovers::keep && !stopped_ && !timed_out_;
  if (keeps || (streams_at_end() && !host_.orphans_alive())) return end();
  // Something is left, of this run or of another.
  for (Stream* stream : {&out_, &err_}) watch_stream(*stream);
  if (!killing) {
    wish_ = Wish::probe;
    if (terminated_) arm(leftovers_grace, &Program::kill_tree);
  }
  empty_scans_ = 0;
  host_.want_scan(0ms);
}

void Program::on_no_orphans() {
  if (phase_ == Phase::leftovers && streams_at_end()) end();
}

void Program::on_scan(const std::vector<TreeProcess>& found) {
  switch (wish_) {
    case Wish::none: return;
    case Wish::terminate:
      for (const TreeProcess& process : found) {
        signal_process(process, SIGTERM);
        signal_process(process, SIGCONT);
      }
      terminated_ = true;
      wish_ = exit_ ? Wish::probe : Wish::none;
      if (exit_) host_.want_scan(kill_scan_pause);
      return;
    case Wish::kill:
      for (const TreeProcess& process : found) signal_process(process, SIGKILL);
      note_kill_scan(found.empty());
      if (empty_scans_ >= empty_scans_needed && exit_) return end();
      host_.want_scan(kill_scan_pause);
      return;
    case Wish::probe: break;
  }
  empty_scans_ = found.empty() ? empty_scans_ + 1 : 0;
  if (empty_scans_ >= empty_probes_needed) return end();
  if (!found.empty() && !terminated_) {
    for (const TreeProcess& process : found) {
      signal_process(process, SIGTERM);
      signal_process(process, SIGCONT);
    }
    terminated_ = true;
    arm(leftovers_grace, &Program::kill_tree);
  }
  const auto pause = std::min<Clock::duration>(kill_scan_pause * (1 << std::min(probes_++, 5)), probe_pause_max);
  host_.want_scan(found.empty() ? kill_scan_pause : pause);
}

// A tree that lives by forking and ending between two scans leaves orphans that end. Those of other runs may do so for ever,
// so this is looked at for a while only.
void Program::note_kill_scan(bool empty) {
  const std::uint64_t before = std::exchange(orphans_ended_, host_.orphans_ended());
  const bool may_hop = orphans_ended_ != before && kill_scans_++ < hopping_scans_max;
  empty_scans_ = empty && !may_hop ? empty_scans_ + 1 : 0;
}

void Program::stop(bool force) {
  if (phase_ == Phase::running && !stopped_ && !timed_out_) {
    stopped_ = true;
    ask_to_stop();
  }
  if (force) kill_tree();
}

void Program::on_timeout() {
  timed_out_ = true;
  host_.send(RunStopping{order_.run});
  ask_to_stop();
}

void Program::ask_to_stop() {
  if (order_.grace <= Duration::zero()) return kill_tree();
  wish_ = Wish::terminate;
  host_.want_scan(0ms);
  arm(order_.grace, &Program::kill_tree);
}

void Program::kill_tree() {
  if (phase_ == Phase::ended || wish_ == Wish::kill) return;
  if (timer_) timer_->cancel();
  wish_ = Wish::kill;
  empty_scans_ = 0;
  // Its group at once, as one: whoever sees a child killed before itself might go on to something else.
  if (pid_ != 0 && !exit_) ::kill(-pid_, SIGKILL);  // it may have none yet: then the scan finds it
  host_.want_scan(0ms);
}

void Program::arm(Clock::duration delay, void (Program::*on_due)()) {
  if (!timer_) {
    timer_ = std::make_unique<Timer>(host_.loop(), [this] { (this->*on_due_)(); });
  }
  on_due_ = on_due;
  timer_->arm_in(delay);
}

TreeMarks Program::marks() const {
  TreeMarks marks;
  marks.main = exit_ ? 0 : pid_;
  marks.session = pid_;
  marks.instance = host_.hello().instance;
  marks.job = order_.run.job;
  marks.attempt = order_.run.attempt;
  if (exit_) {
    for (const Stream* stream : {&out_, &err_}) {
      if (stream->capture && !stream->capture->at_end()) marks.pipes.push_back(stream->capture->inode());
    }
  }
  return marks;
}

void Program::signal(const SignalRun& question) {
  Done done{question.question, {}};
  if (phase_ != Phase::running) {
    done.refusal = Refusal{ErrorKind::conflict, "its program is not running"};
  } else if (::kill(-pid_, question.signal) != 0 && ::kill(pid_, question.signal) != 0) {  // it may have no group yet
    done.refusal = Refusal{ErrorKind::conflict, std::string("cannot signal it: ") + std::strerror(errno)};
  }
  host_.send(done);
}

// Input

void Program::open_input(UniqueFd pipe) {
  if (!pipe) return;
  if (!input_) input_.emplace();
  input_->open(std::move(pipe));
  if (order_.input == InputKind::bytes) input_->offer(0, std::move(order_.input_data), true);
  pump_input();
}

void Program::feed(FeedInput piece) {
  if (auto refusal = why_not(piece)) return host_.send(Done{piece.question, std::move(refusal)});
  if (input_->is_closed()) return host_.send(Done{piece.question, {}});  // all of it again
  if (piece.offset) piece.bytes.erase(0, input_->offered() - *piece.offset);
  input_->offer(piece.question, std::move(piece.bytes), piece.end);
  pump_input();
}

std::optional<Refusal> Program::why_not(const FeedInput& piece) const {
  if (order_.input != InputKind::stream || phase_ != Phase::running || !input_) return not_reading();
  if (piece.offset && *piece.offset > input_->offered()) {
    return Refusal{ErrorKind::conflict, "its standard input has come to byte " + std::to_string(input_->offered()) +
                                            ": what is between that and `offset` is missing"};
  }
  const bool known = piece.offset && *piece.offset + piece.bytes.size() <= input_->offered() && (!piece.end || input_->has_end());
  const bool takes_more = !input_->has_end() && !input_->is_closed();
  return known || takes_more ? std::nullopt : std::optional(not_reading());
}

void Program::pump_input() {
  input_watch_.reset();
  report(input_->pump());
  // An idle pipe is watched by nobody: that it was closed shows at the next write.
  if (input_->wants_to_write()) {
    input_watch_ = std::make_unique<Watch>(host_.loop(), input_->fd(), EPOLLOUT, [this](std::uint32_t) { pump_input(); });
  }
}

void Program::report(const Input::Answers& answers) {
  for (const std::uint64_t question : answers.accepted) host_.send(Done{question, {}});
  for (const std::uint64_t question : answers.refused) host_.send(Done{question, not_reading()});
}

// Output

void Program::open_stream(Stream& stream, UniqueFd pipe, const OutputOrder& output) {
  if (output.output != OutputKind::capture) return;
  stream.capture.emplace(std::move(pipe), order_.output_limit,
                         output_path(host_.hello().out_dir, order_.run.job, order_.run.attempt, stream.name));
}

void Program::watch_stream(Stream& stream) {
  if (!stream.capture || stream.capture->at_end() || stream.watch) return;
  try {
    stream.watch = std::make_unique<Watch>(host_.loop(), stream.capture->fd(), EPOLLIN,
                                           [this, &stream](std::uint32_t) { on_readable(stream); });
  } catch (const std::system_error&) {
    stop(true);  // no memory in the kernel to watch it with: it must not run unseen
  }
}

void Program::on_readable(Stream& stream) {
  const bool ended = drain(stream);
  answer_parked();
  if (ended && phase_ == Phase::leftovers && !host_.orphans_alive()) on_no_orphans();
}

/// True at its end.
bool Program::drain(Stream& stream) {
  const std::uint64_t before = stream.capture->bytes();
  const auto drained = stream.capture->drain();
  if (stream.capture->bytes() != before) note_output();
  if (drained != Capture::Drain::end) return false;
  stream.watch.reset();
  stream.capture->close();
  return true;
}

void Program::drain_all() {
  for (Stream* stream : {&out_, &err_}) {
    if (!stream->capture) continue;
    // Level-triggered: what more than a turn's worth is left comes in later turns.
    if (!stream->capture->at_end()) drain(*stream);
  }
  answer_parked();
}

bool Program::streams_at_end() const {
  return (!out_.capture || out_.capture->at_end()) && (!err_.capture || err_.capture->at_end());
}

void Program::read(const ReadOutput& question) {
  if (question.wait) settle();
  if (!answer(question, !question.wait)) parked_.push_back(question);
}

void Program::answer_parked() {
  if (parked_.empty()) return;
  std::erase_if(parked_, [this](const ReadOutput& question) { return answer(question, false); });
}

/// False where there is nothing to say yet and nothing `must` be said.
bool Program::answer(const ReadOutput& question, bool must) {
  const Stream& source = stream(question.of);
  Piece piece;
  piece.question = question.question;
  if (source.capture) {
    KeptPiece kept =
        source.capture->read(question.offset, std::min<std::uint64_t>(question.limit, limits::output_chunk_bytes_max));
    piece.bytes = std::move(kept.bytes);
    piece.offset = kept.offset;
    piece.next = kept.next;
    piece.end = source.capture->at_end() && piece.next >= source.capture->bytes();
  } else {
    piece.offset = piece.next = question.offset;
    piece.end = true;
  }
  if (piece.bytes.empty() && !piece.end && !must) return false;
  host_.send(piece);
  return true;
}

// The end

void Program::end() {
  phase_ = Phase::ended;
  wish_ = Wish::none;
  if (timer_) timer_->cancel();
  input_watch_.reset();
  if (input_) report(input_->close());
  for (Stream* stream : {&out_, &err_}) {
    if (!stream->capture || stream->capture->at_end()) continue;
    stream->watch.reset();
    // Nobody of the run writes any more: what the pipe holds is all there is. A process that is kept may go on writing,
    // so this is bounded.
    for (int i = 0; i < 4 && stream->capture->drain() == Capture::Drain::more; ++i) {
    }
    stream->capture->close();
  }
  answer_parked();
  RunEnded ended = take_end();
  host_.secure(order_, ended);
  note_end(record_, ended);
  host_.write_slot(slot_, record_);
  if (out_.capture && !ended.out->in_file) out_.capture->remove_copy();
  if (err_.capture && !ended.err->in_file) err_.capture->remove_copy();
  host_.on_program_ended(*this, std::move(ended));
}

RunEnded Program::take_end() {
  RunEnded ended;
  ended.run = order_.run;
  ended.timed_out = timed_out_;
  ended.stopped = stopped_;
  ended.started_at = started_at_;
  ended.finished_at = finished_at_;
  if (spawn_failure_) {
    ended.ending = Ending::not_started;
    ended.code = spawn_failure_->exit_code;
    ended.message = spawn_failure_->message;
  } else {
    const int status = exit_->status;
    ended.ending = WIFSIGNALED(status) ? Ending::signalled : Ending::exited;
    ended.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    ended.user = duration_of(exit_->usage.ru_utime);
    ended.system = duration_of(exit_->usage.ru_stime);
    ended.max_rss = static_cast<std::uint64_t>(exit_->usage.ru_maxrss) * 1024;
  }
  if (out_.capture) ended.out = out_.capture->take_result();
  if (err_.capture) ended.err = err_.capture->take_result();
  return ended;
}

}  // namespace stint::worker
