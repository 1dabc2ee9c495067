#include "daemon/exec/pool_executor.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

namespace stint::exec {
namespace {

constexpr std::chrono::milliseconds respawn_pause{200};

worker::PoolMessage make_message(const Order& order, std::uint32_t pool) {
  const JobSpec& spec = *order.spec;
  worker::PoolMessage message;
  message.run = {order.id, order.attempt};
  message.pool = pool;
  if (order.item) {
    message.args = order.item->text;
  } else if (spec.args) {
    message.args = spec.args->text;
  }
  message.capture = spec.stderr_target.is_capture();
  message.output_limit = spec.output_limit;
  message.timeout = spec.timeout;
  message.grace = spec.grace;
  return message;
}

EndReport make_report(worker::PoolAnswered answered) {
  EndReport report;
  if (answered.result) {
    report.ending = EndReport::Returned{json::Raw{std::move(*answered.result)}};
  } else {
    worker::PoolFailure failure = std::move(answered.failure).value_or(worker::PoolFailure{});
    JobError error{std::move(failure.kind), std::move(failure.message), std::nullopt};
    if (failure.data) error.data = json::Raw{std::move(*failure.data)};
    report.ending = EndReport::Failed{std::move(error), failure.exit_code};
  }
  report.timed_out = answered.timed_out;
  report.stopped = answered.stopped;
  if (answered.err) {
    worker::KeptStream& kept = *answered.err;
    report.stderr_content = OutputContent{{kept.bytes, kept.truncated}, std::move(kept.content), kept.in_file};
  }
  report.finished_at = answered.finished_at;
  return report;
}

EndReport lost_report() {
  EndReport report;
  report.ending = EndReport::Lost{"the runner of its pool has died: how it would have ended cannot be known"};
  report.finished_at = wall_now();
  return report;
}

Error no_such_message() { return {ErrorKind::not_found, "the job is not running (any more)"}; }

}  // namespace

PoolExecutor::PoolExecutor(boost::asio::io_context& io, Workers& workers, Observer& observer, PoolOptions options)
    : io_(io), workers_(workers), observer_(observer), options_(std::move(options)), retry_timer_(io) {}

PoolExecutor::~PoolExecutor() { *here_ = false; }

// Pools

void PoolExecutor::define(std::shared_ptr<const PoolSpec> spec) {
  Pool& pool = pools_[spec->name];
  if (pool.number == 0) pool.number = ++last_number_;
  pool.slots = spec->size;
  pool.spec = std::move(spec);
  pool.dropped = false;
  send_pool(pool);
}

void PoolExecutor::resize(const std::string& name, std::uint32_t slots) {
  const auto found = pools_.find(name);
  if (found == pools_.end()) return;
  found->second.slots = slots;
  send_pool(found->second);
}

void PoolExecutor::drop(const std::string& name) {
  const auto found = pools_.find(name);
  if (found == pools_.end()) return;
  found->second.dropped = true;
  drop_if_left(found);
}

void PoolExecutor::drop_if_left(Pools::iterator pool) {
  if (!pool->second.dropped || pool->second.runs > 0) return;
  if (socket_) socket_->post(worker::DropPool{pool->second.number});
  pools_.erase(pool);
}

void PoolExecutor::send_pool(const Pool& pool) {
  if (!socket_) return;
  const PoolSpec& spec = *pool.spec;
  worker::SetPool frame;
  frame.number = pool.number;
  frame.name = spec.name;
  frame.argv = spec.command;
  for (const auto& [name, value] : spec.env) frame.env.push_back({name, value});
  frame.cwd = spec.cwd;
  frame.size = pool.slots;
  frame.max_jobs = spec.max_jobs;
  frame.idle_timeout = spec.idle_timeout;
  socket_->post(frame);
}

// Messages

void PoolExecutor::start(Order order) {
  const Run run{order.id, order.attempt};
  const auto pool = pools_.find(*order.spec->pool);
  // It was removed while the start waited for its commit.
  if (pool == pools_.end()) return give_back(run);
  runs_.emplace(run, Placed{pool, false, false});
  ++pool->second.runs;
  if (socket_) return send_message(order);
  waiting_.push_back(std::move(order));
  spawn_runner();
}

void PoolExecutor::send_message(const Order& order) {
  Placed& placed = runs_.at({order.id, order.attempt});
  placed.sent = true;
  socket_->post(make_message(order, placed.pool->second.number));
}

void PoolExecutor::send_waiting() {
  for (const Order& order : std::exchange(waiting_, {})) send_message(order);
}

void PoolExecutor::stop(JobId id, Attempt attempt, bool force) {
  const Run run{id, attempt};
  const auto found = runs_.find(run);
  if (found == runs_.end()) return;
  if (found->second.sent && socket_) return socket_->post(worker::StopRun{run, force});
  recall(id, attempt);
}

void PoolExecutor::recall(JobId id, Attempt attempt) {
  const Run run{id, attempt};
  const auto found = runs_.find(run);
  if (found == runs_.end()) return;
  if (found->second.sent) {
    if (socket_) socket_->post(worker::RecallRun{run});
    return;
  }
  std::erase_if(waiting_, [&](const Order& order) { return order.id == id && order.attempt == attempt; });
  forget(run);
  give_back(run);
}

/// Told in a later turn.
void PoolExecutor::give_back(const Run& run) {
  boost::asio::post(io_, [this, run, here = here_] {
    if (!*here) return;
    observer_.on_returned(run.job, run.attempt);
    finish_if_closed();
  });
}

void PoolExecutor::on_recorded(JobId id, Attempt attempt) {
  const Run run{id, attempt};
  for (auto dead = kept_.begin(); dead != kept_.end(); ++dead) {
    if (dead->second.erase(run) == 0) continue;
    if (dead->second.empty()) {
      workers_.remove(dead->first);
      kept_.erase(dead);
    }
    return;
  }
  unrecorded_.erase(run);
  if (socket_) socket_->post(worker::RunRecorded{run});
}

void PoolExecutor::read_output(OutputQuery query, OutputCallback done) {
  const Run run{query.id, query.attempt};
  if (!runs_.contains(run)) return done(no_such_message(), {});
  if (query.wait) {
    readers_.emplace(run, std::move(done));
  } else {
    done(std::nullopt, {{}, query.offset, query.offset, false});
  }
}

void PoolExecutor::forget(const Run& run) {
  const auto found = runs_.find(run);
  if (found == runs_.end()) return;
  const Pools::iterator pool = found->second.pool;
  runs_.erase(found);
  --pool->second.runs;
  drop_if_left(pool);
}

// Reports

void PoolExecutor::on_frame(const worker::FrameView& frame) {
  switch (frame.kind) {
    case worker::FrameKind::welcome: return;
    case worker::FrameKind::started: return on_started(worker::decode<worker::RunStarted>(frame));
    case worker::FrameKind::stopping: {
      const Run run = worker::decode<worker::RunStopping>(frame).run;
      if (runs_.contains(run)) observer_.on_stopping(run.job, run.attempt);
      return;
    }
    case worker::FrameKind::answered: return on_answered(worker::decode<worker::PoolAnswered>(frame));
    case worker::FrameKind::progress: return on_progress(worker::decode<worker::PoolProgress>(frame));
    case worker::FrameKind::returned: return on_returned(worker::decode<worker::RunReturned>(frame).run);
    default: throw worker::Decoder::malformed();
  }
}

void PoolExecutor::on_started(const worker::RunStarted& started) {
  const auto found = runs_.find(started.run);
  if (found == runs_.end() || std::exchange(found->second.started, true)) return;
  observer_.on_started(started.run.job, started.run.attempt, {started.at, runner_, started.pid});
}

void PoolExecutor::on_answered(worker::PoolAnswered answered) {
  const Run run = answered.run;
  const auto found = runs_.find(run);
  if (found == runs_.end()) return;
  // A short one has told of its start only by this.
  if (!found->second.started && answered.started_at != Time{}) {
    observer_.on_started(run.job, run.attempt, {answered.started_at, runner_, std::nullopt});
  }
  forget(run);
  unrecorded_.insert(run);
  observer_.on_ended(run.job, run.attempt, make_report(std::move(answered)));
  const auto [first, last] = readers_.equal_range(run);
  if (first != last) {
    std::vector<OutputCallback> readers;
    for (auto each = first; each != last; ++each) readers.push_back(std::move(each->second));
    readers_.erase(first, last);
    for (const OutputCallback& done : readers) done(no_such_message(), {});
  }
  finish_if_closed();
}

void PoolExecutor::on_progress(worker::PoolProgress progress) {
  if (!runs_.contains(progress.run)) return;
  observer_.on_progress(progress.run.job, progress.run.attempt, progress.millionths / 1e6, std::move(progress.text));
}

void PoolExecutor::on_returned(const Run& run) {
  if (!runs_.contains(run)) return;
  forget(run);
  observer_.on_returned(run.job, run.attempt);
  finish_if_closed();
}

// The runner

void PoolExecutor::spawn_runner() {
  if (spawning_ || !runner_.empty() || closing_) return;
  spawning_ = true;
  workers_.spawn(WorkerKind::runner, [this, here = here_](const std::optional<Error>& error, Worker worker) {
    if (*here) on_runner_spawned(error, std::move(worker));
  });
}

void PoolExecutor::on_runner_spawned(const std::optional<Error>& error, Worker worker) {
  spawning_ = false;
  if (error) {
    if (closing_) return finish_if_closed();
    if (options_.log) options_.log(error->message() + "; trying again");
    retry_timer_.expires_after(respawn_pause);
    retry_timer_.async_wait([this](const boost::system::error_code& stopped) {
      if (!stopped && !waiting_.empty()) spawn_runner();
    });
    return;
  }
  runner_ = worker.name;
  workers_.on_death(runner_, [this, here = here_](const WorkerDeath& death) {
    if (*here) on_runner_died(death);
  });
  socket_ = std::make_unique<PacketSocket>(
      io_, std::move(worker.socket), [this](const worker::FrameView& frame) { on_frame(frame); }, [] {});
  socket_->set_epoch(options_.hello.epoch);
  socket_->post(options_.hello);
  for (const auto& [name, pool] : pools_) send_pool(pool);
  send_waiting();
  finish_if_closed();
}

// What stands in its slot file had begun; its folder stays until that is on record: should we end before, the next daemon
// reads it again.
void PoolExecutor::on_runner_died(const WorkerDeath& death) {
  if (socket_) socket_->close();
  socket_.reset();
  runner_.clear();
  if (options_.log && !closing_) options_.log(death.name + ", the runner of the pools, has died; another one takes its place");
  std::vector<Run> begun;
  std::vector<Run> others;
  std::set<Run> noted;
  for (const worker::BegunRun& one : death.runs.begun) noted.insert(one.run);
  for (const auto& [run, placed] : runs_) {
    if (placed.sent) (noted.contains(run) ? begun : others).push_back(run);
  }
  std::set<Run> untold = std::exchange(unrecorded_, {});
  untold.insert(begun.begin(), begun.end());
  if (untold.empty()) {
    workers_.remove(death.name);
  } else {
    kept_.emplace(death.name, std::move(untold));
  }
  for (const Run& run : begun) {
    forget(run);
    observer_.on_ended(run.job, run.attempt, lost_report());
  }
  for (const Run& run : others) {
    forget(run);
    observer_.on_returned(run.job, run.attempt);
  }
  if (!waiting_.empty()) spawn_runner();
  finish_if_closed();
}

// The end

void PoolExecutor::close(std::function<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  retry_timer_.cancel();
  std::vector<Run> runs;
  for (const auto& [run, placed] : runs_) runs.push_back(run);
  for (const Run& run : runs) stop(run.job, run.attempt, false);
  finish_if_closed();
}

void PoolExecutor::finish_if_closed() {
  if (!closing_ || !runs_.empty() || spawning_) return;
  if (socket_) socket_->close();
  if (!runner_.empty()) return;
  if (auto closed = std::exchange(closed_, {})) boost::asio::post(io_, std::move(closed));
}

}  // namespace stint::exec
