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

constexpr std::chrono::milliseconds retry_pause{200};

Error not_running() { return {ErrorKind::not_found, "the job is not running (any more)"}; }

std::string describe(const WorkerDeath& death) {
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
      retry_timer_(io) {
  hello_.epoch = options_.epoch;
  hello_.instance = options_.instance;
  hello_.socket_path = options_.socket_path;
  hello_.out_dir = options_.out_dir;
  for (std::size_t i = 0; i < options_.runners; ++i) add_runner();
}

std::size_t ProcessExecutor::runners_up() const {
  return static_cast<std::size_t>(
      std::count_if(runners_.begin(), runners_.end(), [](const auto& entry) { return entry.second->is_open(); }));
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
    retry_timer_.expires_after(retry_pause);
    retry_timer_.async_wait([this](const boost::system::error_code& stopped) {
      while (!stopped && !closing_ && runners_.size() + spawning_ < options_.runners) add_runner();
    });
    return;
  }
  const std::string name = worker.name;
  RunnerLink::Listener& listener = *this;
  auto link = std::make_unique<RunnerLink>(io_, std::move(worker), hello_, listener);
  if (closing_) link->close();
  runners_.emplace(name, std::move(link));
  workers_.on_death(name, [this](const WorkerDeath& death) { on_runner_died(death); });
  if (closing_) return;
  for (const Order& order : std::exchange(waiting_, {})) begin(*choose_runner(), order);
  make_deferred_calls();
}

void ProcessExecutor::start(Order order) {
  if (RunnerLink* link = choose_runner()) return begin(*link, order);
  waiting_.push_back(std::move(order));
}

// A runner starts one program at a time, so the runs are spread evenly, those that wait for a slot too.
RunnerLink* ProcessExecutor::choose_runner() const {
  RunnerLink* best = nullptr;
  for (const auto& [name, link] : runners_) {
    if (link->is_open() && (best == nullptr || link->runs().size() < best->runs().size())) best = link.get();
  }
  return best;
}

RunnerLink* ProcessExecutor::runner_of(const Run& run) const {
  const auto found = placed_.find(run);
  if (found == placed_.end() || found->second.ended) return nullptr;
  return found->second.link->is_open() ? found->second.link : nullptr;
}

void ProcessExecutor::begin(RunnerLink& link, const Order& order) {
  placed_.emplace(Run{order.id, order.attempt}, Placed{&link, false});
  const bool with_slot = free_slots_ > 0;
  if (with_slot) --free_slots_;
  link.begin(make_begin(order), with_slot);
}

/// Each slot goes where a run waits for one, to the runner that has the fewest.
void ProcessExecutor::deal_slots() {
  for (; free_slots_ > 0; --free_slots_) {
    RunnerLink* best = nullptr;
    for (const auto& [name, link] : runners_) {
      if (!link->is_open() || link->lacking() == 0) continue;
      if (best == nullptr || link->slots() < best->slots()) best = link.get();
    }
    if (best == nullptr) return;
    best->grant(1);
  }
}

void ProcessExecutor::stop(JobId id, Attempt attempt, bool force) {
  const Run run{id, attempt};
  if (RunnerLink* link = runner_of(run)) return link->stop(run, force);
  give_back_waiting(run);
}

void ProcessExecutor::recall(JobId id, Attempt attempt) {
  const Run run{id, attempt};
  if (RunnerLink* link = runner_of(run)) return link->recall(run);
  give_back_waiting(run);
}

void ProcessExecutor::on_recorded(JobId id, Attempt attempt) {
  const auto found = placed_.find(Run{id, attempt});
  if (found == placed_.end() || !found->second.ended) return;
  if (found->second.link->is_open()) found->second.link->recorded(found->first);
  placed_.erase(found);
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
  const bool waits = std::any_of(waiting_.begin(), waiting_.end(),
                                 [&](const Order& order) { return order.id == run.job && order.attempt == run.attempt; });
  if (waits) deferred_.push_back(std::move(call));
  return waits;
}

void ProcessExecutor::make_deferred_calls() {
  for (const auto& call : std::exchange(deferred_, {})) call();
}

void ProcessExecutor::signal(JobId id, Attempt attempt, int signal, DoneCallback done) {
  const Run run{id, attempt};
  if (RunnerLink* link = runner_of(run)) return link->signal(run, signal, std::move(done));
  if (defer(run, [=, this] { this->signal(id, attempt, signal, done); })) return;
  done(not_running());
}

void ProcessExecutor::write_input(JobId id, Attempt attempt, std::string bytes, bool end, DoneCallback done) {
  const Run run{id, attempt};
  if (RunnerLink* link = runner_of(run)) return link->write_input(run, std::move(bytes), end, std::move(done));
  if (defer(run, [=, this] { write_input(id, attempt, bytes, end, done); })) return;
  done(not_running());
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

void ProcessExecutor::on_run_ended(RunnerLink&, worker::RunEnded ended) {
  const Run run = ended.run;
  placed_.at(run).ended = true;
  observer_.on_ended(run.job, run.attempt, make_report(std::move(ended)));
  finish_if_closed();
}

void ProcessExecutor::on_run_returned(const Run& run) {
  placed_.erase(run);
  observer_.on_returned(run.job, run.attempt);
  finish_if_closed();
}

void ProcessExecutor::on_slots_free(std::uint32_t slots) {
  free_slots_ += slots;
  deal_slots();
}

void ProcessExecutor::on_runner_lost(RunnerLink& link) {
  if (options_.log && !closing_) options_.log("the connection to " + link.name() + " is gone: its programs are ended");
}

void ProcessExecutor::on_runner_died(const WorkerDeath& death) {
  auto found = runners_.extract(death.name);
  if (found.empty()) return;
  RunnerLink& link = *found.mapped();
  link.close();
  if (options_.log && !closing_) options_.log(death.name + " " + describe(death) + "; another runner takes its place");
  std::erase_if(placed_, [&link](const auto& entry) { return entry.second.link == &link; });
  free_slots_ += link.slots();
  deal_slots();
  if (!closing_) add_runner();
  tell_of_runs(link.runs(), death);
  if (closing_) finish_if_closed();
}

// What its slot file says had ended was not told in time, and counts; what is not in it never began.
void ProcessExecutor::tell_of_runs(std::set<Run> runs, const WorkerDeath& death) {
  for (const worker::RunEnded& ended : death.runs.ended) {
    if (runs.erase(ended.run) != 0) observer_.on_ended(ended.run.job, ended.run.attempt, make_report(ended));
  }
  for (const Run& run : death.runs.begun) {
    if (runs.erase(run) == 0) continue;
    EndReport report;
    report.ending = EndReport::Lost{"its runner " + describe(death) + ": how the program ended cannot be known"};
    report.finished_at = wall_now();
    observer_.on_ended(run.job, run.attempt, std::move(report));
  }
  for (const Run& run : runs) observer_.on_returned(run.job, run.attempt);
}

void ProcessExecutor::close(std::function<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  retry_timer_.cancel();
  for (const Order& order : std::vector<Order>(waiting_.begin(), waiting_.end())) give_back_waiting({order.id, order.attempt});
  for (const auto& [run, placed] : placed_) {
    if (!placed.ended) placed.link->stop(run, false);
  }
  finish_if_closed();
}

void ProcessExecutor::finish_if_closed() {
  if (!closing_) return;
  if (std::any_of(placed_.begin(), placed_.end(), [](const auto& entry) { return !entry.second.ended; })) return;
  for (const auto& [name, link] : runners_) link->close();
  if (!runners_.empty() || spawning_ > 0) return;
  if (auto closed = std::exchange(closed_, {})) boost::asio::post(io_, std::move(closed));
}

}  // namespace stint::exec
