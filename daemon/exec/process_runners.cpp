// The process executor's runners: how they come, break and die, and what those of an earlier daemon have to tell.
#include <string.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "daemon/exec/process_executor.hpp"
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

std::string describe(const WorkerDeath& death) {
  if (death.wait_status == worker::unknown_wait_status) return "has died";
  if (WIFSIGNALED(death.wait_status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(death.wait_status));
    return "was killed by SIG" + std::string(name != nullptr ? name : "?");
  }
  return "ended with exit code " + std::to_string(WEXITSTATUS(death.wait_status));
}

}  // namespace

std::size_t ProcessExecutor::runners_up() const {
  return static_cast<std::size_t>(
      std::count_if(runners_.begin(), runners_.end(), [](const auto& entry) { return entry.second->is_up(); }));
}

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

void ProcessExecutor::leave(const std::string& name) {
  auto found = runners_.extract(name);
  if (found.empty()) return;
  RunnerLink& link = *found.mapped();
  std::erase_if(placed_, [&link](const auto& entry) { return entry.second.link == &link; });
  workers_.release(name);
  link.close(shutting_down());
  left_.push_back(std::move(found.mapped()));
}

// Death

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

/// The folder of a dead runner goes when all that it tells is on record.
void ProcessExecutor::remove_if_recorded(const std::string& name) {
  if (std::any_of(kept_.begin(), kept_.end(), [&](const auto& entry) { return entry.second == name; })) return;
  workers_.remove(name);
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

}  // namespace stint::exec
