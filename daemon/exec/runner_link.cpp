#include "daemon/exec/runner_link.hpp"

#include <iterator>
#include <utility>

namespace stint::exec {

using worker::FrameKind;

Error runner_lost() { return unavailable("the job's runner has ended, or the connection to it", "runner_lost"); }

RunnerLink::RunnerLink(boost::asio::io_context& io, Worker worker, bool taken_over, const worker::Hello& hello,
                       Listener& listener)
    : name_(std::move(worker.name)),
      listener_(listener),
      answered_(!taken_over),
      revision_(taken_over ? 0 : worker::runner_revision),
      socket_(
          io, std::move(worker.socket), [this](const worker::FrameView& frame) { on_frame(frame); },
          [this] {
            listener_.on_runner_lost(*this);
            fail_questions(runner_lost());
          }) {
  socket_.set_epoch(hello.epoch);
  socket_.post(hello);
}

void RunnerLink::begin(worker::Begin order, bool with_slot) {
  runs_.insert(order.run);
  if (with_slot) ++slots_;
  order.with_slot = with_slot;
  socket_.post(order);
}

std::uint32_t RunnerLink::lacking() const {
  return runs_.size() > slots_ ? static_cast<std::uint32_t>(runs_.size()) - slots_ : 0;
}

void RunnerLink::grant(std::uint32_t slots) {
  slots_ += slots;
  socket_.post(worker::Grant{slots});
}

std::uint64_t RunnerLink::ask(Question question) {
  questions_.emplace(++last_question_, std::move(question));
  return last_question_;
}

void RunnerLink::signal(const worker::Run& run, int signal, DoneCallback done) {
  socket_.post(worker::SignalRun{ask(std::move(done)), run, signal});
}

void RunnerLink::write_input(const worker::Run& run, InputPiece piece, DoneCallback done) {
  if (piece.offset && revision_ < 1) {
    return done(
        invalid_params("offset", "left out: the program's runner is of an earlier version, which does not count its input"));
  }
  socket_.post(worker::FeedInput{ask(std::move(done)), run, std::move(piece.bytes), piece.end, piece.offset});
}

void RunnerLink::read_output(const worker::ReadOutput& query, OutputCallback done) {
  worker::ReadOutput frame = query;
  frame.question = ask(Read{query, std::move(done)});
  socket_.post(frame);
}

void RunnerLink::close(const Error& why) {
  socket_.close();
  fail_questions(why);
}

void RunnerLink::on_frame(const worker::FrameView& frame) {
  switch (frame.kind) {
    case FrameKind::welcome:
      revision_ = worker::decode<worker::Welcome>(frame).revision.value_or(0);
      if (!std::exchange(answered_, true)) listener_.on_runner_answered(*this);
      return;
    case FrameKind::started: return on_started(worker::decode<worker::RunStarted>(frame));
    case FrameKind::stopping: return listener_.on_run_stopping(worker::decode<worker::RunStopping>(frame));
    case FrameKind::ended: return on_ended(worker::decode<worker::RunEnded>(frame));
    case FrameKind::returned: {
      const auto returned = worker::decode<worker::RunReturned>(frame);
      if (runs_.erase(returned.run) != 0) listener_.on_run_returned(returned.run);
      return;
    }
    case FrameKind::slots_free: {
      const auto free = worker::decode<worker::SlotsFree>(frame);
      if (free.slots > slots_) throw worker::Decoder::malformed();
      slots_ -= free.slots;
      return listener_.on_slots_free(free.slots);
    }
    case FrameKind::done: return on_done(worker::decode<worker::Done>(frame));
    case FrameKind::piece: return on_piece(worker::decode<worker::Piece>(frame));
    default: throw worker::Decoder::malformed();
  }
}

void RunnerLink::on_started(const worker::RunStarted& started) {
  if (answered_) return listener_.on_run_started(*this, started);
  if (!runs_.insert(started.run).second) throw worker::Decoder::malformed();
  ++slots_;
  listener_.on_run_found(*this, started);
}

void RunnerLink::on_ended(worker::RunEnded ended) {
  if (runs_.erase(ended.run) != 0) {
    listener_.on_run_ended(*this, std::move(ended));
  } else if (!answered_) {
    listener_.on_ended_run_found(*this, std::move(ended));
  }
}

void RunnerLink::on_done(const worker::Done& done) {
  auto question = questions_.extract(done.question);
  if (question.empty()) return;
  std::optional<Error> error;
  if (done.refusal) error.emplace(done.refusal->error, done.refusal->message);
  if (auto* answer = std::get_if<DoneCallback>(&question.mapped())) {
    (*answer)(std::move(error));
  } else {
    // A read is answered by a piece; by this only where it is refused.
    if (!error) error = worker::Decoder::malformed();
    std::get<Read>(question.mapped()).done(std::move(error), {});
  }
}

void RunnerLink::on_piece(worker::Piece piece) {
  auto question = questions_.extract(piece.question);
  if (question.empty()) return;
  auto* answer = std::get_if<Read>(&question.mapped());
  if (answer == nullptr) throw worker::Decoder::malformed();
  answer->done(std::nullopt, {std::move(piece.bytes), piece.offset, piece.next, piece.end});
}

std::vector<RunnerLink::Read> RunnerLink::take_reads() {
  std::vector<Read> reads;
  for (auto entry = questions_.begin(); entry != questions_.end();) {
    auto* read = std::get_if<Read>(&entry->second);
    if (read != nullptr) reads.push_back(std::move(*read));
    entry = read != nullptr ? questions_.erase(entry) : std::next(entry);
  }
  return reads;
}

void RunnerLink::fail_questions(const Error& why) {
  for (auto& [number, question] : std::exchange(questions_, {})) {
    if (auto* done = std::get_if<DoneCallback>(&question)) {
      (*done)(why);
    } else {
      std::get<Read>(question).done(why, {});
    }
  }
}

}  // namespace stint::exec
