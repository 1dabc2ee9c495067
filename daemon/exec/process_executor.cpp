#include "daemon/exec/process_executor.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "daemon/exec/process_order.hpp"

namespace stint::exec {
namespace {

Error not_running() { return {ErrorKind::not_found, "the job is not running (any more)"}; }

}  // namespace

ProcessExecutor::ProcessExecutor(boost::asio::io_context& io, Workers& workers, Observer& observer, ProcessOptions options)
    : io_(io),
      workers_(workers),
      observer_(observer),
      options_(std::move(options)),
      free_slots_(options_.slots),
      retry_timer_(io),
      found_ends_timer_(io) {
  hello_.epoch = options_.epoch;
  hello_.instance = options_.instance;
  hello_.socket_path = options_.socket_path;
  hello_.out_dir = options_.out_dir;
}

// Starts and slots

void ProcessExecutor::start(Order order) {
  if (RunnerLink* link = choose_runner()) return begin(*link, order);
  waiting_.push_back(std::move(order));
}

void ProcessExecutor::begin_waiting() {
  if (waiting_.empty() || choose_runner() == nullptr) return;
  for (const Order& order : std::exchange(waiting_, {})) begin(*choose_runner(), order);
}

// A runner starts one program at a time, so the runs are spread evenly, those that wait for a slot too.
RunnerLink* ProcessExecutor::choose_runner() const {
  RunnerLink* best = nullptr;
  if (free_slots_ < 0) return best;  // it would get the slot of the next program that ends, which is one too many
  for (const auto& [name, link] : runners_) {
    if (link->is_up() && (best == nullptr || link->runs().size() < best->runs().size())) best = link.get();
  }
  return best;
}

RunnerLink* ProcessExecutor::runner_of(const Run& run) const {
  const auto found = placed_.find(run);
  if (found == placed_.end() || found->second.ended) return nullptr;
  return found->second.link->is_open() ? found->second.link : nullptr;
}

void ProcessExecutor::begin(RunnerLink& link, const Order& order) {
  placed_.emplace(Run{order.id, order.attempt}, Placed{&link, order.spec->durable, false, {}});
  const bool with_slot = has_slot();
  if (with_slot) --free_slots_;
  link.begin(make_begin(order), with_slot);
}

/// Each slot goes where a run waits for one, to the runner that has the fewest.
void ProcessExecutor::deal_slots() {
  for (; has_slot(); --free_slots_) {
    RunnerLink* best = nullptr;
    for (const auto& [name, link] : runners_) {
      if (!link->is_open() || link->lacking() == 0) continue;
      if (best == nullptr || link->slots() < best->slots()) best = link.get();
    }
    if (best == nullptr) return;
    best->grant(1);
  }
}

// What runs beyond a lowered number goes on; a slot that is given back then is nobody's.
void ProcessExecutor::set_slots(std::uint32_t slots) {
  free_slots_ += std::int64_t{slots} - std::int64_t{options_.slots};
  options_.slots = slots;
  begin_waiting();
  deal_slots();
}

void ProcessExecutor::on_slots_free(std::uint32_t slots) {
  free_slots_ += slots;
  if (!waiting_.empty()) {
    begin_waiting();
    make_deferred_calls();
  }
  deal_slots();
}

void ProcessExecutor::stop(JobId id, Attempt attempt, bool force) {
  const Run run{id, attempt};
  if (RunnerLink* link = runner_of(run)) {
    placed_.at(run).stop = force || placed_.at(run).stop.value_or(false);
    return link->stop(run, force);
  }
  if (expected_.contains(run)) return deferred_.push_back([=, this] { stop(id, attempt, force); });
  give_back_waiting(run);
}

void ProcessExecutor::recall(JobId id, Attempt attempt) {
  const Run run{id, attempt};
  if (RunnerLink* link = runner_of(run)) return link->recall(run);
  give_back_waiting(run);
}

/// No runner has it: taken out of the line, which is told in a later turn.
void ProcessExecutor::give_back_waiting(const Run& run) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const Order& order) { return order.id == run.job && order.attempt == run.attempt; });
  if (found == waiting_.end()) return;
  waiting_.erase(found);
  boost::asio::post(io_, [this, run] {
    observer_.on_returned(run.job, run.attempt);
    make_deferred_calls();
  });
}

// What runners tell of runs

void ProcessExecutor::on_run_started(RunnerLink& link, const worker::RunStarted& started) {
  if (!placed_.contains(started.run)) return;
  observer_.on_started(started.run.job, started.run.attempt, {started.at, link.name(), started.pid});
}

void ProcessExecutor::on_run_stopping(const worker::RunStopping& stopping) {
  if (placed_.contains(stopping.run)) observer_.on_stopping(stopping.run.job, stopping.run.attempt);
}

void ProcessExecutor::on_run_ended(RunnerLink& link, worker::RunEnded ended) {
  const Run run = ended.run;
  const auto placed = placed_.find(run);
  if (placed == placed_.end()) return link.recorded(run);  // it was found and not expected
  placed->second.ended = true;
  tell_end(std::move(ended), {});
  finish_if_closed();
}

void ProcessExecutor::on_run_returned(const Run& run) {
  placed_.erase(run);
  observer_.on_returned(run.job, run.attempt);
  finish_if_closed();
}

void ProcessExecutor::on_recorded(JobId id, Attempt attempt) {
  const auto found = placed_.find(Run{id, attempt});
  if (found != placed_.end() && found->second.ended) {
    if (found->second.link->is_open()) found->second.link->recorded(found->first);
    placed_.erase(found);
  } else if (auto kept = kept_.extract(Run{id, attempt}); !kept.empty()) {
    remove_if_recorded(kept.mapped());
  }
}

// Questions

bool ProcessExecutor::defer(const Run& run, std::function<void()> call) {
  const bool waits = expected_.contains(run) || std::any_of(waiting_.begin(), waiting_.end(), [&](const Order& order) {
                       return order.id == run.job && order.attempt == run.attempt;
                     });
  if (waits) deferred_.push_back(std::move(call));
  return waits;
}

bool ProcessExecutor::await_recovery(JobId id, Attempt attempt, std::function<void()> call) {
  const bool unknown = expected_.contains({id, attempt});
  if (unknown) deferred_.push_back(std::move(call));
  return unknown;
}

void ProcessExecutor::make_deferred_calls() {
  for (const auto& call : std::exchange(deferred_, {})) call();
}

void ProcessExecutor::signal(JobId id, Attempt attempt, int signal, DoneCallback done) {
  const Run run{id, attempt};
  if (RunnerLink* link = runner_of(run)) return link->signal(run, signal, std::move(done));
  if (defer(run, [=, this] { this->signal(id, attempt, signal, done); })) return;
  done(closing_ ? shutting_down() : not_running());
}

void ProcessExecutor::write_input(JobId id, Attempt attempt, InputPiece piece, DoneCallback done) {
  const Run run{id, attempt};
  RunnerLink* link = runner_of(run);
  if (link != nullptr && !link->has_answered()) {  // what it understands is not known yet
    return deferred_.push_back([=, this] { write_input(id, attempt, piece, done); });
  }
  if (link != nullptr) return link->write_input(run, std::move(piece), std::move(done));
  if (defer(run, [=, this] { write_input(id, attempt, piece, done); })) return;
  done(closing_ ? shutting_down() : not_running());
}

void ProcessExecutor::read_output(OutputQuery query, OutputCallback done) {
  worker::ReadOutput frame;
  frame.run = {query.id, query.attempt};
  frame.of = query.of;
  frame.offset = query.offset;
  frame.limit = query.limit;
  frame.wait = query.wait;
  if (RunnerLink* link = runner_of(frame.run)) return link->read_output(frame, std::move(done));
  if (defer(frame.run, [=, this] { read_output(query, done); })) return;
  done(not_running(), {});
}

// The end

void ProcessExecutor::close(std::function<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  retry_timer_.cancel();
  tell_found_ends();
  for (const Order& order : std::vector<Order>(waiting_.begin(), waiting_.end())) give_back_waiting({order.id, order.attempt});
  for (auto& [run, placed] : placed_) {
    if (!placed.ended) stop(run.job, run.attempt, false);
  }
  for (const auto& [run, expected] : expected_) stop(run.job, run.attempt, false);
  finish_if_closed();
}

void ProcessExecutor::detach(std::function<void()> done) {
  std::set<std::string> staying = std::exchange(unanswered_, {});
  for (const auto& [run, placed] : placed_) {
    if (placed.durable && !placed.ended) staying.insert(placed.link->name());
  }
  for (const std::string& name : staying) leave(name);
  // What never began is for the next daemon to start; it finds that no runner knows of it.
  expected_.clear();
  recovered_ = {};
  std::erase_if(waiting_, [](const Order& order) { return order.spec->durable; });
  closing_ = true;  // what was asked for meanwhile is for the next daemon, too
  make_deferred_calls();
  close(std::move(done));
}

void ProcessExecutor::finish_if_closed() {
  if (!closing_ || !expected_.empty()) return;
  if (std::any_of(placed_.begin(), placed_.end(), [](const auto& entry) { return !entry.second.ended; })) return;
  for (const auto& [name, link] : runners_) link->close(shutting_down());
  if (!runners_.empty() || spawning_ > 0) return;
  if (auto closed = std::exchange(closed_, {})) boost::asio::post(io_, std::move(closed));
}

}  // namespace stint::exec
