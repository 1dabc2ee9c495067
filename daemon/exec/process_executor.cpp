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
    : io_(io), workers_(workers), observer_(observer), options_(std::move(options)), retry_timer_(io) {
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
  for (const Order& order : std::exchange(waiting_, {})) begin(*least_loaded(), order);
  make_deferred_calls();
}

void ProcessExecutor::start(Order order) {
  if (RunnerLink* link = least_loaded()) return begin(*link, order);
  waiting_.push_back(std::move(order));
}

RunnerLink* ProcessExecutor::least_loaded() const {
  RunnerLink* best = nullptr;
  for (const auto& [name, link] : runners_) {
    if (link->is_open() && (best == nullptr || link->runs().size() < best->runs().size())) best = link.get();
  }
  return best;
}

RunnerLink* ProcessExecutor::runner_of(const Run& run) const {
  const auto found = running_.find(run);
  return found == running_.end() || !found->second->is_open() ? nullptr : found->second;
}

void ProcessExecutor::begin(RunnerLink& link, const Order& order) {
  running_.emplace(Run{order.id, order.attempt}, &link);
  link.begin(make_begin(order));
}

void ProcessExecutor::stop(JobId id, Attempt attempt, bool force) {
  const Run run{id, attempt};
  if (RunnerLink* link = runner_of(run)) return link->stop(run, force);
  end_waiting(run);
}

/// It had not begun: taken out of the line, its end is told in a later turn.
void ProcessExecutor::end_waiting(const Run& run) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const Order& order) { return order.id == run.job && order.attempt == run.attempt; });
  if (found == waiting_.end()) return;
  waiting_.erase(found);
  boost::asio::post(io_, [this, run] {
    EndReport report;
    report.ending = EndReport::Failed{{"stopped", "it was stopped before a runner could begin it"}, std::nullopt};
    report.stopped = true;
    report.finished_at = wall_now();
    observer_.on_ended(run.job, run.attempt, std::move(report));
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
  if (!running_.contains(started.run)) return;
  observer_.on_started(started.run.job, started.run.attempt, {started.at, link.name(), started.pid});
}

void ProcessExecutor::on_run_stopping(const worker::RunStopping& stopping) {
  if (running_.contains(stopping.run)) observer_.on_stopping(stopping.run.job, stopping.run.attempt);
}

void ProcessExecutor::on_run_ended(RunnerLink&, worker::RunEnded ended) {
  const Run run = ended.run;
  running_.erase(run);
  observer_.on_ended(run.job, run.attempt, make_report(std::move(ended)));
  finish_if_closed();
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
  for (const Run& run : link.runs()) {
    running_.erase(run);
    EndReport report;
    report.ending = EndReport::Lost{"its runner " + describe(death) + ": how the program ended cannot be known"};
    report.finished_at = wall_now();
    observer_.on_ended(run.job, run.attempt, std::move(report));
  }
  if (closing_) return finish_if_closed();
  add_runner();
}

void ProcessExecutor::close(std::function<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  retry_timer_.cancel();
  for (const Order& order : std::vector<Order>(waiting_.begin(), waiting_.end())) end_waiting({order.id, order.attempt});
  for (const auto& [run, link] : running_) link->stop(run, false);
  finish_if_closed();
}

void ProcessExecutor::finish_if_closed() {
  if (!closing_ || !running_.empty()) return;
  for (const auto& [name, link] : runners_) link->close();
  if (!runners_.empty() || spawning_ > 0) return;
  if (auto closed = std::exchange(closed_, {})) boost::asio::post(io_, std::move(closed));
}

}  // namespace stint::exec
