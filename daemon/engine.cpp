#include "daemon/engine.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/kept_output.hpp"

namespace stint {
namespace {

/// Room for effects that is kept between steps; a large submit takes more and gives it back.
constexpr std::size_t effects_kept_max = 4'096;

core::Lane lane_of(const JobSpec& spec, ExecutorKind kind) {
  if (spec.pool) return core::Lane::pool;
  if (kind == ExecutorKind::process) return spec.is_program() ? core::Lane::program : core::Lane::host;
  return kind == ExecutorKind::thread ? core::Lane::thread : core::Lane::coroutine;
}

Error unknown_task(const TaskRegistry& tasks, std::string_view name, std::string_view field) {
  std::vector<std::string_view> known;
  for (const auto& [task, row] : tasks.all()) known.push_back(task);
  Error error = unavailable("no task '" + std::string(name) + "' is registered; task.list names those that are", "no such task");
  error.field = std::string(field) + ".task";
  error.nearest = nearest_name(name, known);
  return error;
}

void require_pool(const core::Scheduler& scheduler, const std::string& name, std::string_view field) {
  const auto pool = scheduler.find_pool(name);
  if (pool && !pool->removing) return;
  const std::vector<core::PoolView> pools = scheduler.pools();
  std::vector<std::string_view> known;
  for (const core::PoolView& each : pools) {
    if (!each.removing) known.push_back(each.spec->name);
  }
  Error error(ErrorKind::not_found,
              "no pool '" + name + "'" + (pool ? ": it is being removed" : "; pool.list names those that there are"));
  error.field = std::string(field) + ".pool";
  error.nearest = nearest_name(name, known);
  throw error;
}

/// Its lane's jobs end with the daemon and are not told of again.
bool is_task(core::Lane lane) { return lane != core::Lane::program && lane != core::Lane::pool; }

/// Where a job runs: as it asks, or the first that its task declares.
ExecutorKind resolve_executor(const JobSpec& spec, const TaskRegistry& tasks, std::string_view field) {
  if (spec.is_program() || spec.pool) return ExecutorKind::process;
  const Task* task = tasks.find(*spec.task);
  if (task == nullptr) throw unknown_task(tasks, *spec.task, field);
  const auto kinds = task->executors();
  if (!spec.executor) return kinds.front();
  if (std::ranges::find(kinds, *spec.executor) == kinds.end()) {
    std::string known;
    for (ExecutorKind kind : kinds) known += (known.empty() ? "\"" : ", \"") + std::string(json::enum_name(kind)) + "\"";
    throw invalid_params(std::string(field) + ".executor", "one that task '" + *spec.task + "' runs on: " + known);
  }
  return *spec.executor;
}

double quantile_seconds(const LatencyHistogram& histogram, double q) { return to_seconds(histogram.quantile(q)); }

nlohmann::json latency_json(const LatencyHistogram& histogram) {
  return {{"count", histogram.count()},
          {"p50", quantile_seconds(histogram, 0.5)},
          {"p90", quantile_seconds(histogram, 0.9)},
          {"p99", quantile_seconds(histogram, 0.99)}};
}

constexpr std::array<std::string_view, core::lane_count> lane_names{"process", "process_tasks", "thread", "coroutine", "pool"};

}  // namespace

Engine::Engine(boost::asio::io_context& io, db::Store& store, const TaskRegistry& tasks, EngineOptions options)
    : io_(io),
      store_(store),
      tasks_(tasks),
      options_(std::move(options)),
      scheduler_(options_.core),
      timers_(io),
      feed_(scheduler_, store, timers_),
      timer_(io),
      started_at_(wall_now()) {
  store_.on_commit([this](const db::CommitResult& result) { on_commit(result); });
}

Engine::~Engine() = default;

// ---- effects

void Engine::settle() {
  if (settling_) return;
  settling_ = true;
  while (!effects_.empty()) {
    // Performing one may append others: they come next.
    performing_.swap(effects_);
    for (core::Effect& effect : performing_) perform(effect);
    performing_.clear();
    if (performing_.capacity() > effects_kept_max) performing_.shrink_to_fit();
  }
  settling_ = false;
  feed_.jobs_moved();
  look_for_idle();
}

void Engine::perform(core::Effect& effect) {
  if (auto* persist = std::get_if<core::Persist>(&effect)) {
    hand_to_store(std::move(*persist));
    return;
  }
  if (const auto* timer = std::get_if<core::ArmTimer>(&effect)) {
    arm_timer(timer->at);
    return;
  }
  if (auto* load = std::get_if<core::Load>(&effect)) {
    store_.load(std::move(load->ids), [this](std::vector<core::LoadedSpec> specs) {
      scheduler_.on_loaded(std::move(specs), wall_now(), effects_);
      settle();
    });
    return;
  }
  if (const auto* slots = std::get_if<core::SlotsNow>(&effect)) {
    if (slots->pool) {
      pools_->resize(slots->pool->name, slots->slots);
    } else {
      executor_of(slots->lane).set_slots(slots->slots);
    }
    return;
  }
  // The call waits for the store only from now on: its timeout is over.
  if (const auto* granted = std::get_if<core::Granted>(&effect)) feed_.served(granted->call);
  const auto after = std::visit(
      [](const auto& some) -> core::PersistNumber {
        if constexpr (requires { some.after; }) {
          return some.after;
        } else {
          return 0;
        }
      },
      effect);
  if (after <= durable_) {
    release(effect);
  } else {
    held_.add(after, std::move(effect));
  }
}

// While the store has no room, one at a time asks it for new work. The others are told the same as soon as this event is over,
// and so, once that one is decided, there is a moment in which reads see nothing that may still be refused.
void Engine::hand_to_store(core::Persist persist) {
  if (!refusing_.empty() && asked_ != 0 && core::is_only_new_work(persist)) {
    if (turned_away_.empty()) boost::asio::post(io_, [this] { on_commit({{}, durable_, {}, false}); });
    turned_away_.push_back(persist.number);
    persist.facts.clear();  // its number is decided in its turn
  } else if (persist.number != 0) {
    if (core::has_new_work(persist)) asked_ = persist.number;
    if (timed_ == 0) {
      timed_ = persist.number;
      timed_since_ = std::chrono::steady_clock::now();
      if (persist.patient) timed_since_ += db::patience;  // nothing waits for the time that it spends there
    }
  }
  store_.persist(std::move(persist));
}

void Engine::release(const core::Effect& effect) {
  if (const auto* start = std::get_if<core::Start>(&effect)) {
    begin(*start);
  } else if (const auto* granted = std::get_if<core::Granted>(&effect)) {
    if (auto call = acquires_.extract(granted->call)) call.mapped()(std::nullopt, granted->lease);
  } else if (const auto* refuse = std::get_if<core::Refuse>(&effect)) {
    feed_.refuse(refuse->call, refuse->error);
    if (auto call = acquires_.extract(refuse->call)) call.mapped()(refuse->error, 0);
  } else if (const auto* recall = std::get_if<core::Recall>(&effect)) {
    executor_of(recall->lane).recall(recall->id, recall->attempt);
  } else if (const auto* stop = std::get_if<core::Stop>(&effect)) {
    executor_of(stop->lane).stop(stop->id, stop->attempt, stop->force);
  } else if (const auto* news = std::get_if<core::Publish>(&effect)) {
    // A job that vanished with its refused submit was never announced and is not now.
    if (scheduler_.was_refused(news->id)) return;
    feed_.publish(*news);
    const bool finished = news->kind == core::EventKind::finished;
    if (!finished && news->kind != core::EventKind::retrying) return;
    // What was begun in a pool of an earlier daemon is accounted for by the executor of programs.
    if (!news->spec->task) executor_of(core::Lane::program).on_recorded(news->id, news->attempt);
    if (news->spec->pool) executor_of(core::Lane::pool).on_recorded(news->id, news->attempt);
    if (!finished) return;
    finishes_.add(news->at);
    wake(news->id);
    if (on_finished_) on_finished_(*news->finished);
  }
}

void Engine::begin(const core::Start& start) {
  const core::Job* job = scheduler_.find(start.id);
  // What is not begun now never began: the next daemon starts it.
  if (job == nullptr || job->attempt != start.attempt || !job->is_running() || detaching_) return;
  // Called back while it waited for its commit: a runner would begin it before others that come back.
  if (std::get<core::Running>(job->state).recalled) return scheduler_.on_returned(start.id, start.attempt, wall_now(), effects_);
  if (is_task(start.lane)) ++tasks_running_;
  executor_of(start.lane)
      .start({.id = job->id, .attempt = job->attempt, .spec = job->spec, .item = job->item, .uid = job->user->uid});
}

void Engine::on_commit(const db::CommitResult& result) {
  std::vector<core::PersistNumber> refused = result.refused;
  refused.insert(refused.end(), turned_away_.begin(), turned_away_.end());
  turned_away_.clear();
  std::ranges::sort(refused, std::greater());
  std::vector<Held::Read> again;
  if (!refused.empty()) again = held_.take_reads(refused.back());
  for (const core::PersistNumber number : refused) {
    scheduler_.on_refused(number, wall_now(), effects_);
    exchange_.on_refused(number);
    refuse(number, result.reason.empty() ? refusing_ : result.reason);
    if (number == asked_) asked_ = 0;
  }
  if (result.took_new_work || !result.refused.empty()) note_refusing(result.reason);
  durable_ = result.durable;
  if (asked_ <= durable_) asked_ = 0;
  // Before anything else happens, which might bring new work.
  for (const Held::Read& read : again) read(false);
  while (auto thing = held_.take(durable_)) {
    if (auto* answer = std::get_if<Held::Answer>(&*thing)) {
      (*answer)(std::nullopt);
    } else if (auto* read = std::get_if<Held::Read>(&*thing)) {
      (*read)(true);
    } else {
      release(std::get<core::Effect>(*thing));
    }
  }
  scheduler_.on_durable(durable_);
  exchange_.on_durable(durable_);
  if (timed_ != 0 && timed_ <= durable_) {
    timed_ = 0;
    const auto took = std::chrono::steady_clock::now() - timed_since_;
    scheduler_.on_commit_time(std::chrono::duration_cast<Duration>(took), wall_now(), effects_);
  }
  settle();
}

void Engine::note_refusing(std::string reason) {
  const bool told = refusing_.empty() == reason.empty();
  refusing_ = std::move(reason);
  if (!told && on_refusing_) on_refusing_(refusing_);
}

// What a refused Persist carried besides new work was recorded, so only what waits for that new work goes.
void Engine::refuse(core::PersistNumber number, const std::string& reason) {
  const Error refusal = unavailable("the store cannot take new work now: " + reason, reason);
  for (auto& thing : held_.take_exactly(number)) {
    if (auto* answer = std::get_if<Held::Answer>(&thing)) {
      (*answer)(refusal);
      continue;
    }
    const auto& effect = std::get<core::Effect>(thing);
    if (const auto* granted = std::get_if<core::Granted>(&effect)) {
      if (auto call = acquires_.extract(granted->call)) call.mapped()(refusal, 0);
      continue;
    }
    const auto* news = std::get_if<core::Publish>(&effect);
    if (news != nullptr && news->kind == core::EventKind::submitted) feed_.vanished(news->id, 1, refusal);
    const auto* start = std::get_if<core::Start>(&effect);
    if (start == nullptr || !start->recorded) held_.add(number, std::move(thing));
  }
}

void Engine::when_durable(core::PersistNumber number, std::function<void(std::optional<Error>)> done) {
  if (number <= durable_) {
    done(std::nullopt);
  } else {
    held_.add(number, std::move(done));
  }
}

void Engine::when_seen(core::PersistNumber number, std::function<void(bool)> done) {
  if (number <= durable_) {
    done(true);
  } else {
    held_.add(number, Held::Read(std::move(done)));
  }
}

void Engine::step(const std::function<void(core::Step&)>& work) {
  {
    core::Step step = scheduler_.step(wall_now(), effects_);
    work(step);
  }
  settle();
}

void Engine::arm_timer(Time at) {
  if (timer_at_ && *timer_at_ <= at) return;
  timer_at_ = at;
  timer_.expires_at(at);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    timer_at_.reset();
    scheduler_.on_timer(wall_now(), effects_);
    settle();
  });
}

// ---- events from clients

api::Submitted Engine::submit(std::vector<NewJob> jobs, std::shared_ptr<const core::User> user, std::string_view field,
                              std::optional<core::SubmitKey> key, std::optional<JobId> parent) {
  std::vector<core::Submission> submissions;
  submissions.reserve(jobs.size());
  const JobSpec* resolved = nullptr;  // a template's jobs share one specification
  ExecutorKind kind{};
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    NewJob& job = jobs[i];
    if (job.spec.get() != resolved) {
      const bool listed = jobs.size() > 1 && !job.item;
      const std::string where = listed ? std::string(field) + "[" + std::to_string(i) + "]" : std::string(field);
      if (job.spec->pool) require_pool(scheduler_, *job.spec->pool, where);
      kind = resolve_executor(*job.spec, tasks_, where);
      for (const auto& [name, permits] : job.spec->semaphores) {
        const std::string path = where + ".semaphores." + name;
        core::require_semaphore(scheduler_.admission(), name, permits, path, path);
      }
      resolved = job.spec.get();
    }
    const core::Lane lane = lane_of(*job.spec, kind);
    submissions.push_back(
        {.spec = std::move(job.spec), .item = std::move(job.item), .index = job.index, .executor = kind, .lane = lane});
  }
  const std::size_t count = submissions.size();
  const Time now = wall_now();
  const JobId first = scheduler_.on_submit(std::move(submissions), std::move(user), parent, now, effects_, std::move(key));
  submits_.add(now, count);
  const core::PersistNumber after = scheduler_.accepted_after();
  settle();
  return {.first = first, .after = after};
}

core::CancelResult Engine::cancel(std::span<const JobId> ids, bool force) {
  auto result = scheduler_.on_cancel(ids, force, wall_now(), effects_);
  settle();
  return result;
}

core::CancelResult Engine::cancel_group(std::string_view group, bool force) {
  auto result = scheduler_.on_cancel_group(group, force, wall_now(), effects_);
  settle();
  return result;
}

void Engine::recover(db::Recovered recovered, const std::vector<PoolSpec>& configured_pools) {
  for (const core::StoredPool& pool : recovered.pools) pools_->define(pool.spec);
  scheduler_.on_pools_recovered(std::move(recovered.pools));
  for (const PoolSpec& spec : configured_pools) set_pool(spec, nullptr);
  exchange_.restore(std::move(recovered.channels), recovered.events);
  scheduler_.on_recovered(std::move(recovered.jobs), std::move(recovered.keys), wall_now(), effects_,
                          std::move(recovered.permits));
  settle();
}

core::PersistNumber Engine::forget(std::vector<JobId> ids) {
  // Asked first, so that the records are still there; the files go when the records are gone for good.
  store_.get(ids, [this, newest = feed_.last_id()](const std::vector<db::Found>& found) {
    std::vector<std::string> files;
    for (const db::Found& row : found) {
      if (!row.job) continue;
      feed_.forgotten(*row.job, newest);
      for (const StreamName of : {StreamName::out, StreamName::err}) {
        for (Attempt attempt = 1; !row.job->spec->task && attempt <= row.job->attempt; ++attempt) {
          files.push_back(output_path(options_.output_dir, row.job->id, attempt, of));
        }
      }
    }
    when_durable(scheduler_.newest_persist(), [files = std::move(files)](const std::optional<Error>&) {
      for (const std::string& file : files) remove_kept_files(file);
    });
  });
  const auto number = scheduler_.on_forget(std::move(ids), effects_);
  settle();
  return number;
}

// ---- events from executors

void Engine::on_started(JobId id, Attempt attempt, exec::Started started) {
  if (const core::Job* job = scheduler_.find(id); job != nullptr && !begin_of(*job) && attempt == 1)
    queue_time_.add(started.at - job->submitted_at);
  scheduler_.on_started(id, attempt, started.at, std::move(started.worker), started.pid, effects_);
  settle();
  wake(id);
}

void Engine::on_progress(JobId id, Attempt attempt, double value, std::string text) {
  scheduler_.on_progress(id, attempt, value, std::move(text), wall_now(), effects_);
  settle();
}

void Engine::on_stopping(JobId id, Attempt attempt) {
  scheduler_.on_stopping(id, attempt, wall_now(), effects_);
  settle();
}

void Engine::on_ended(JobId id, Attempt attempt, EndReport report) {
  const Time now = wall_now();
  if (const core::Job* job = scheduler_.find(id)) {
    if (const auto begun = begin_of(*job)) run_time_.add(now - *begun);
    if (is_task(job->lane)) --tasks_running_;
    // What the detach itself has stopped has no end worth recording: the next daemon calls it lost.
    if (job->lane != core::Lane::program && detaching_ && report.stopped) return look_for_idle();
  }
  scheduler_.on_ended(id, attempt, std::move(report), now, effects_);
  settle();
}

void Engine::on_returned(JobId id, Attempt attempt) {
  scheduler_.on_returned(id, attempt, wall_now(), effects_);
  settle();
}

void Engine::offload(std::function<void()> work, std::function<void()> done) { offload_(std::move(work), std::move(done)); }

// ---- figures

nlohmann::json Engine::info() const {
  auto plugins = nlohmann::json::array();
  for (const exec::PluginState& plugin : options_.plugins) {
    auto& row = plugins.emplace_back(nlohmann::json{{"file", json::to_utf8(plugin.file)}, {"tasks", plugin.tasks}});
    if (plugin.refused) row["refused"] = *plugin.refused;
  }
  return {{"instance", options_.instance},
          {"state_dir", options_.output_dir.parent_path().string()},
          {"started_at", to_seconds(started_at_.time_since_epoch())},
          {"executors", {"process", "thread", "coroutine"}},
          {"plugins", std::move(plugins)},
          {"tree_kill", "scan"}};
}

nlohmann::json Engine::stats() const {
  const core::Counts counts = scheduler_.counts();
  std::uint64_t queued = 0;
  std::uint64_t running = 0;
  nlohmann::json executors = nlohmann::json::object();
  for (std::size_t lane = 0; lane < core::lane_count; ++lane) {
    queued += counts.queued[lane];
    running += counts.running[lane];
    executors[std::string(lane_names[lane])] = {
        {"queued", counts.queued[lane]}, {"running", counts.running[lane]}, {"slots", counts.slots[lane]}};
  }
  nlohmann::json outcomes = nlohmann::json::object();
  std::uint64_t finished = 0;
  for (std::size_t i = 0; i < counts.outcomes.size(); ++i) {
    outcomes[std::string(json::enum_name(static_cast<Outcome>(i)))] = counts.outcomes[i];
    finished += counts.outcomes[i];
  }
  const Time now = wall_now();
  nlohmann::json store{{"kind", "sqlite"}, {"durable_up_to", durable_}, {"held", held_.size()}};
  if (!refusing_.empty()) store["refusing"] = refusing_;
  return {{"states", {{"waiting", counts.waiting}, {"queued", queued}, {"running", running}, {"finished", finished}}},
          {"stopping", counts.stopping},
          {"submitted", counts.submitted},
          {"outcomes", outcomes},
          {"executors", executors},
          {"queues", {{"default", {{"queued", queued}, {"running", running}}}}},
          {"rates", {{"submitted_per_second", submits_.per_second(now)}, {"finished_per_second", finishes_.per_second(now)}}},
          {"latency", {{"queue_seconds", latency_json(queue_time_)}, {"run_seconds", latency_json(run_time_)}}},
          {"store", store},
          {"draining", scheduler_.draining()}};
}

}  // namespace stint
