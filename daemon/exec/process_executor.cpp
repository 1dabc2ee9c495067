#include "daemon/exec/process_executor.hpp"

#include <string.h>
#include <sys/wait.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "daemon/exec/process_order.hpp"

namespace stint::exec {
namespace {

/// How soon a runner is started again that could not be started, or that has ended sooner than this.
constexpr std::chrono::milliseconds retry_pause{1'000};
/// Before a connection is made anew that broke; one that breaks before anything was said over it may do so for long.
constexpr std::chrono::milliseconds reconnect_pause{20};
constexpr std::chrono::milliseconds unanswered_pause{1'000};
/// How long what has ended before is kept back for those that ended before it on a runner that has yet to answer.
constexpr std::chrono::milliseconds found_ends_patience{200};

constexpr const char* rebooted_message = "the machine was restarted while it ran";

Error not_running() { return {ErrorKind::not_found, "the job is not running (any more)"}; }

std::string describe(const WorkerDeath& death) {
  if (death.wait_status == worker::unknown_wait_status) return "has died";
  if (WIFSIGNALED(death.wait_status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(death.wait_status));
    return "was killed by SIG" + std::string(name != nullptr ? name : "?");
  }
  return "ended with exit code " + std::to_string(WEXITSTATUS(death.wait_status));
}

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

std::size_t ProcessExecutor::runners_up() const {
  return static_cast<std::size_t>(
      std::count_if(runners_.begin(), runners_.end(), [](const auto& entry) { return entry.second->is_up(); }));
}

// Recovery

void ProcessExecutor::recover(std::vector<Run> expected, bool rebooted, std::function<void()> done) {
  for (const Run& run : expected) expected_.try_emplace(run);
  rebooted_ = rebooted;
  recovered_ = std::move(done);
  workers_.survey([this](Survey survey) { on_survey(std::move(survey)); });
}

void ProcessExecutor::on_survey(Survey survey) {
  surveyed_ = true;
  if (closing_ && !closed_) {
    for (const Worker& worker : survey.living) workers_.release(worker.name);
    return;
  }
  found_ends_.emplace();
  found_ends_timer_.expires_after(found_ends_patience);
  found_ends_timer_.async_wait([this](const boost::system::error_code& stopped) {
    if (!stopped) tell_found_ends();
  });
  for (Worker& worker : survey.living) {
    unanswered_.insert(worker.name);
    add_link(std::move(worker), true);
  }
  for (const WorkerDeath& death : survey.dead) tell_of_runs({}, {}, death);
  if (!closing_) add_missing_runners();
  finish_recovery();
}

void ProcessExecutor::on_run_found(RunnerLink& link, const worker::RunStarted& started) {
  --free_slots_;  // it is the runner's
  const auto known = expected_.extract(started.run);
  if (known.empty()) return link.stop(started.run, true);
  placed_.emplace(started.run, Placed{&link, known.mapped().durable, false, {}});
  on_run_started(link, started);
}

void ProcessExecutor::on_ended_run_found(RunnerLink& link, worker::RunEnded ended) {
  const Run run = ended.run;
  if (const auto placed = placed_.find(run); placed != placed_.end() && placed->second.ended) return;  // was told before
  if (expected_.erase(run) == 0) return link.recorded(run);
  placed_.emplace(run, Placed{&link, true, true, {}});
  tell_end(std::move(ended), link.name());
}

/// `runner`: of a run whose start was perhaps never told; else empty.
void ProcessExecutor::tell_end(worker::RunEnded ended, const std::string& runner) {
  if (found_ends_) return found_ends_->push_back({std::move(ended), runner});
  const Run run = ended.run;
  if (!runner.empty() && ended.started_at != Time{})
    observer_.on_started(run.job, run.attempt, {ended.started_at, runner, std::nullopt});
  observer_.on_ended(run.job, run.attempt, make_report(std::move(ended)));
}

// Each runner tells of its own, and results count in the order in which the programs ended.
void ProcessExecutor::tell_found_ends() {
  if (!found_ends_) return;
  found_ends_timer_.cancel();
  auto ends = *std::exchange(found_ends_, std::nullopt);
  std::ranges::stable_sort(ends, {}, [](const FoundEnd& found) { return found.ended.finished_at; });
  for (FoundEnd& found : ends) tell_end(std::move(found.ended), found.runner);
}

void ProcessExecutor::on_runner_answered(RunnerLink& link) {
  unanswered_.erase(link.name());
  for (const Run& run : take_expected_of(link.name())) observer_.on_returned(run.job, run.attempt);
  finish_recovery();
}

std::set<ProcessExecutor::Run> ProcessExecutor::take_expected_of(const std::string& runner) {
  std::set<Run> runs;
  for (auto entry = expected_.begin(); entry != expected_.end();) {
    const bool its = entry->second.runner == runner;
    if (its) runs.insert(entry->first);
    entry = its ? expected_.erase(entry) : std::next(entry);
  }
  return runs;
}

/// After each answer: what is known now is done, and when all have answered, the rest is.
void ProcessExecutor::finish_recovery() {
  if (surveyed_ && unanswered_.empty()) {
    tell_found_ends();
    for (const auto& [run, expected] : std::exchange(expected_, {})) {
      if (rebooted_) {
        lose({run, {}, {}}, rebooted_message);
      } else {
        observer_.on_returned(run.job, run.attempt);
      }
    }
    rebooted_ = false;
    if (const auto done = std::exchange(recovered_, {})) done();
  }
  begin_waiting();
  deal_slots();
  make_deferred_calls();
  finish_if_closed();
}

// Runners

void ProcessExecutor::add_missing_runners() {
  while (runners_.size() + spawning_ < options_.runners) add_runner();
}

void ProcessExecutor::add_missing_runners_later() {
  retry_timer_.expires_after(retry_pause);
  retry_timer_.async_wait([this](const boost::system::error_code& stopped) {
    if (!stopped && !closing_) add_missing_runners();
  });
}

void ProcessExecutor::add_runner() {
  ++spawning_;
  workers_.spawn(WorkerKind::runner,
                 [this](std::optional<Error> error, Worker worker) { on_runner_spawned(std::move(error), std::move(worker)); });
}

void ProcessExecutor::on_runner_spawned(std::optional<Error> error, Worker worker) {
  --spawning_;
  if (error) {
    if (closing_) return finish_if_closed();
    if (options_.log) options_.log(error->message() + "; trying again");
    return add_missing_runners_later();
  }
  add_link(std::move(worker), false);
  if (closing_) return;
  begin_waiting();
  make_deferred_calls();
}

void ProcessExecutor::add_link(Worker worker, bool taken_over) {
  const std::string name = worker.name;
  RunnerLink::Listener& listener = *this;
  auto link = std::make_unique<RunnerLink>(io_, std::move(worker), taken_over, hello_, listener);
  if (closing_ && !taken_over) link->close(shutting_down());
  runners_.emplace(name, std::move(link));
  workers_.on_death(name, [this](const WorkerDeath& death) { on_runner_died(death); });
}

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

void ProcessExecutor::on_recorded(JobId id, Attempt attempt) {
  const auto found = placed_.find(Run{id, attempt});
  if (found != placed_.end() && found->second.ended) {
    if (found->second.link->is_open()) found->second.link->recorded(found->first);
    placed_.erase(found);
  } else if (auto kept = kept_.extract(Run{id, attempt}); !kept.empty()) {
    remove_if_recorded(kept.mapped());
  }
}

/// The folder of a dead runner goes when all that it tells is on record.
void ProcessExecutor::remove_if_recorded(const std::string& name) {
  if (std::any_of(kept_.begin(), kept_.end(), [&](const auto& entry) { return entry.second == name; })) return;
  workers_.remove(name);
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
  if (RunnerLink* link = runner_of(run)) return link->write_input(run, std::move(piece), std::move(done));
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

void ProcessExecutor::on_slots_free(std::uint32_t slots) {
  free_slots_ += slots;
  if (!waiting_.empty()) {
    begin_waiting();
    make_deferred_calls();
  }
  deal_slots();
}

void ProcessExecutor::on_runner_lost(RunnerLink& link) {
  const bool answered = link.has_answered();
  if (options_.log && answered && !closing_) options_.log("the connection to " + link.name() + " broke: it is made anew");
  free_slots_ += link.take_slots();
  for (auto entry = placed_.begin(); entry != placed_.end();) {
    const auto& [run, placed] = *entry;
    if (placed.link != &link || placed.ended) {
      ++entry;
      continue;
    }
    expected_.emplace(run, Expected{link.name(), placed.durable});
    if (placed.stop) deferred_.push_back([this, run = run, force = *placed.stop] { stop(run.job, run.attempt, force); });
    entry = placed_.erase(entry);
  }
  for (auto& read : link.take_reads()) {
    const worker::ReadOutput& query = read.query;
    OutputQuery again{query.run.job, query.run.attempt, query.of, query.offset, query.limit, query.wait};
    deferred_.push_back([this, again, done = std::move(read.done)] { read_output(again, done); });
  }
  unanswered_.insert(link.name());
  workers_.reconnect(link.name(), answered ? reconnect_pause : unanswered_pause,
                     [this, name = link.name()](UniqueFd socket) { on_reconnected(name, std::move(socket)); });
}

void ProcessExecutor::on_reconnected(const std::string& name, UniqueFd socket) {
  const auto found = runners_.find(name);
  if (found == runners_.end()) return;
  RunnerLink::Listener& listener = *this;
  auto link = std::make_unique<RunnerLink>(io_, Worker{name, 0, std::move(socket)}, true, hello_, listener);
  for (auto& [run, placed] : placed_) {
    if (placed.link == found->second.get()) placed.link = link.get();
  }
  found->second = std::move(link);
  finish_if_closed();
}

void ProcessExecutor::on_runner_died(const WorkerDeath& death) {
  auto found = runners_.extract(death.name);
  if (found.empty()) return;
  RunnerLink& link = *found.mapped();
  const bool lived = std::chrono::steady_clock::now() - link.since() >= retry_pause;
  link.close(runner_lost());
  if (options_.log && !closing_) options_.log(death.name + " " + describe(death) + "; another runner takes its place");
  std::set<Run> runs = take_expected_of(death.name);
  std::set<Run> unrecorded;
  for (const auto& [run, placed] : placed_) {
    if (placed.link == &link) (placed.ended ? unrecorded : runs).insert(run);
  }
  std::erase_if(placed_, [&link](const auto& entry) { return entry.second.link == &link; });
  free_slots_ += link.slots();
  begin_waiting();
  deal_slots();
  if (!closing_ && surveyed_) {
    // Where one has ended at once, for want of room perhaps, the next one would too.
    lived ? add_missing_runners() : add_missing_runners_later();
  }
  tell_of_runs(std::move(runs), std::move(unrecorded), death);
  if (unanswered_.erase(death.name) != 0) return finish_recovery();
  finish_if_closed();
}

// What its slot file says had ended was not told in time, and counts; what is not in it never began. Its folder stays
// until this is on record: should we end before, the next daemon reads it again.
void ProcessExecutor::tell_of_runs(std::set<Run> runs, std::set<Run> unrecorded, const WorkerDeath& death) {
  const auto is_ours = [&](const Run& run) { return runs.erase(run) != 0 || expected_.erase(run) != 0; };
  std::vector<const worker::RunEnded*> ended;
  std::vector<const worker::BegunRun*> lost;
  for (const worker::RunEnded& one : death.runs.ended) {
    if (is_ours(one.run)) ended.push_back(&one);
  }
  for (const worker::BegunRun& one : death.runs.begun) {
    if (is_ours(one.run)) lost.push_back(&one);
  }
  for (const worker::RunEnded* one : ended) unrecorded.insert(one->run);
  for (const worker::BegunRun* one : lost) unrecorded.insert(one->run);
  for (const Run& run : unrecorded) kept_.emplace(run, death.name);
  for (const worker::RunEnded* one : ended) tell_end(*one, death.name);
  const bool by_reboot = rebooted_ && death.pid == 0;
  for (const worker::BegunRun* one : lost) {
    lose(*one, by_reboot ? rebooted_message : "its runner " + describe(death) + ": how the program ended cannot be known");
  }
  for (const Run& run : runs) observer_.on_returned(run.job, run.attempt);
  remove_if_recorded(death.name);
}

void ProcessExecutor::lose(const worker::BegunRun& begun, std::string message) {
  observer_.on_ended(begun.run.job, begun.run.attempt, make_lost_report(begun, std::move(message), options_.out_dir));
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

void ProcessExecutor::leave(const std::string& name) {
  auto found = runners_.extract(name);
  if (found.empty()) return;
  RunnerLink& link = *found.mapped();
  std::erase_if(placed_, [&link](const auto& entry) { return entry.second.link == &link; });
  workers_.release(name);
  link.close(shutting_down());
  left_.push_back(std::move(found.mapped()));
}

void ProcessExecutor::finish_if_closed() {
  if (!closing_ || !expected_.empty()) return;
  if (std::any_of(placed_.begin(), placed_.end(), [](const auto& entry) { return !entry.second.ended; })) return;
  for (const auto& [name, link] : runners_) link->close(shutting_down());
  if (!runners_.empty() || spawning_ > 0) return;
  if (auto closed = std::exchange(closed_, {})) boost::asio::post(io_, std::move(closed));
}

}  // namespace stint::exec
