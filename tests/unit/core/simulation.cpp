#include "tests/unit/core/simulation.hpp"

#include <algorithm>
#include <stdexcept>

namespace stint::core::simulation {
namespace {

EndReport lost_report() {
  EndReport report;
  report.ending = EndReport::Lost{"its worker is gone"};
  return report;
}

constexpr std::size_t jobs_max = 120;
constexpr double refuse_probability = 0.5;
constexpr std::array<const char*, 2> pool_names{"near", "far"};
constexpr std::array<const char*, 4> groups{"red", "green", "blue", "white"};

Config config() {
  Config config;
  config.slots = {3, 1, 2, 20};
  config.turnaround = std::chrono::milliseconds(20);
  config.loaded_jobs = 4;
  return config;
}

std::vector<std::shared_ptr<const JobSpec>> make_specs() {
  std::vector<std::shared_ptr<const JobSpec>> specs;
  for (int i = 0; i < 48; ++i) {
    JobSpec spec;
    if (i % 4 == 3) {
      spec.pool = pool_names[static_cast<std::size_t>(i / 4 % 2)];
    } else {
      spec.task = "echo";
    }
    spec.durable = i % 3 != 0;
    spec.daemon = i % 8 == 1;
    spec.priority = (i % 5 - 2) * 10;
    if (i % 4 == 0) {
      spec.retry.max = 2;
      spec.retry.delay = std::chrono::milliseconds(i % 8 == 0 ? 0 : 30);
      spec.retry.jitter = 0.5;
      spec.retry.on = {RetryCause::failed, RetryCause::timed_out, RetryCause::lost};
    }
    if (i % 7 == 0 || i == 31 || i == 37) spec.delay = std::chrono::milliseconds(i % 2 == 0 ? 20 : 600);
    if (i % 11 == 0) spec.expires = std::chrono::milliseconds(100);
    // Who needs permits keeps its specification: most of those who wait are to be shelved.
    if (i % 5 == 0 && ((i % 7 != 0 && i % 4 != 0) || i == 20 || i == 35)) spec.locks = {i % 10 == 0 ? "a" : "b"};
    if (i % 9 == 0 && i % 7 != 0 && i % 4 != 0) spec.semaphores = {{"s", 1 + static_cast<std::uint64_t>(i % 3)}};
    if (i % 13 == 0 && i > 0) spec.concurrency = Concurrency{"k", 1 + static_cast<std::uint64_t>(i % 2)};
    if (i % 6 < 4) spec.group = groups[static_cast<std::size_t>(i % 6)];
    specs.push_back(std::make_shared<const JobSpec>(std::move(spec)));
  }
  return specs;
}

}  // namespace

const std::set<std::string>& legal_transitions() {
  static const std::set<std::string> legal{
      "none → queued",       "none → starting",    "queued → starting",  "queued → finished",   "queued → none",
      "queued → refused",    "starting → running", "starting → queued",  "starting → stopping", "starting → finished",
      "starting → none",     "starting → refused", "running → stopping", "running → finished",  "running → none",
      "stopping → finished", "stopping → none",    "stopping → doomed",  "stopping → refused",  "doomed → finished",
      "doomed → refused",    "finished → none",    "finished → refused", "none → waiting",      "waiting → queued",
      "waiting → starting",  "waiting → finished", "waiting → refused",  "waiting → none",      "starting → waiting",
      "running → waiting",   "stopping → waiting", "waiting → doomed",   "queued → doomed"};
  return legal;
}

Simulation::Simulation(std::uint64_t seed)
    : random_(seed),
      now_(std::chrono::seconds(1'700'000'000)),
      scheduler_(std::make_unique<Scheduler>(config())),
      specs_(make_specs()),
      user_(std::make_shared<const User>(User{1000, "someone"})) {}

void Simulation::step() {
  now_ += Duration(below(20'000));
  struct Choice {
    unsigned weight;
    bool (*act)(Simulation&);
  };
  static constexpr std::array choices{
      Choice{20, [](Simulation& s) { return s.submit(); }},
      Choice{18, [](Simulation& s) { return s.started(); }},
      Choice{4, [](Simulation& s) { return s.progress(); }},
      Choice{3, [](Simulation& s) { return s.stopping(); }},
      Choice{18, [](Simulation& s) { return s.ended(); }},
      Choice{3, [](Simulation& s) { return s.returned(); }},
      Choice{2, [](Simulation& s) { return s.commit_time(); }},
      Choice{16, [](Simulation& s) { return s.cancel(); }},
      Choice{1, [](Simulation& s) { return s.cancel_group(); }},
      Choice{1, [](Simulation& s) { return s.forget(); }},
      Choice{8, [](Simulation& s) { return s.commit(refuse_probability); }},
      Choice{4, [](Simulation& s) { return s.timer(); }},
      Choice{5, [](Simulation& s) { return s.loaded(); }},
      Choice{1, [](Simulation& s) { return s.slots(); }},
      Choice{2, [](Simulation& s) { return s.set_pool(); }},
      Choice{1, [](Simulation& s) { return s.chance(0.2) && s.remove_pool(); }},
      Choice{1, [](Simulation& s) { return s.drain(); }},
      Choice{2, [](Simulation& s) { return s.undrain(); }},
      Choice{1, [](Simulation& s) { return s.stale(); }},
      Choice{1, [](Simulation& s) { return s.semaphore(); }},
      Choice{6, [](Simulation& s) { return s.acquire(); }},
      Choice{2, [](Simulation& s) { return s.call_left(); }},
      Choice{4, [](Simulation& s) { return s.release_lease(); }},
      Choice{1, [](Simulation& s) { return s.resume(); }},
      Choice{1, [](Simulation& s) { return s.connection_gone(); }},
      Choice{2, [](Simulation& s) { return s.lend(); }},
      Choice{2, [](Simulation& s) { return s.wait_for_jobs(); }},
      Choice{1, [](Simulation& s) { return s.wait_over(); }},
      Choice{1, [](Simulation& s) { return s.chance(0.5) && s.restart(); }},
  };
  constexpr unsigned total = [] {
    unsigned sum = 0;
    for (const auto& choice : choices) sum += choice.weight;
    return sum;
  }();
  bool done = false;
  while (!done) {
    auto at = below(total);
    for (const auto& choice : choices) {
      if (at < choice.weight) {
        done = choice.act(*this);
        break;
      }
      at -= choice.weight;
    }
  }
}

void Simulation::settle() {
  scheduler_->on_undrain(now_, effects_);
  after_event();
  for (std::size_t lane = 0; lane < fixed_lanes; ++lane) {
    scheduler_->on_slots(static_cast<Lane>(lane), 4, now_, effects_);
    after_event();
  }
  while (!lending_.empty()) {
    const auto [id, attempt] = lending_.back();
    lending_.pop_back();
    scheduler_->on_lend(id, attempt, false, now_, effects_);
    after_event();
  }
  waits_.clear();  // with their connections
  for (const auto& [call, holder] : std::exchange(calls_, {})) {
    scheduler_->on_call_left(call, now_, effects_);
    after_event();
  }
  scheduler_->on_semaphore("s", 4, now_, effects_);
  after_event();
  for (std::uint64_t connection = 1; connection <= connections; ++connection) {
    scheduler_->on_connection_gone(connection, now_, effects_);
    after_event();
  }
  while (store_.has_work() || timer_ || loading_ || !scheduler_->idle()) {
    now_ += Duration(1'000);
    bool any = store_.has_work() && commit(0);
    any = timer() || any;
    any = loaded() || any;
    any = started() || ended() || any;
    if (!any) throw std::logic_error("jobs are left and nothing can happen any more");
  }
  if (!held_.empty()) throw std::logic_error("effects are held though everything is durable");
  for (const SemaphoreFact& stored : store_.permits().semaphores) {
    if (scheduler_->admission().size_of(stored.name) != stored.permits) throw std::logic_error("a semaphore is another on disk");
  }
  if (!running_.empty()) throw std::logic_error("an executor runs what the scheduler does not know");
  scheduler_->each_after(0, 1, [](const Job& job) -> bool { wrong(job.id, "never leaves"); });
  for (const JobId id : given_) check_account(id);
}

void Simulation::check_account(JobId id) const {
  const bool accepted = transient_.contains(id) || store_.submitted(id);
  if (accepted == store_.refused_jobs().contains(id)) wrong(id, "neither accepted nor refused, or both");
  if (accepted != published_.contains(id)) wrong(id, accepted ? "never finished" : "was refused and finished");
  if (accepted && store_.finished(id) != published_.at(id)) wrong(id, "is stored with another seq");
  if (!accepted && (announced_.contains(id) || store_.finished(id) != 0)) wrong(id, "was refused and left a trace");
}

// ---- events

bool Simulation::submit() {
  std::size_t here = 0;
  scheduler_->each_after(0, jobs_max, [&](const Job&) { return ++here < jobs_max; });
  if (here >= jobs_max) return false;
  const auto& chosen = specs_[below(specs_.size())];
  std::vector<Submission> jobs;
  for (auto left = 1 + below(3); left > 0; --left) {
    Submission job;
    std::optional<PoolView> pool;
    do {
      job.spec = specs_[below(specs_.size())];
      if (job.spec->pool) pool = scheduler_->find_pool(*job.spec->pool);
    } while (job.spec->durable != chosen->durable || (job.spec->pool && (!pool || pool->removing)));
    job.lane = job.spec->pool ? Lane::pool : static_cast<Lane>(below(fixed_lanes));
    job.executor = ExecutorKind::coroutine;
    jobs.push_back(std::move(job));
  }
  const auto number = jobs.size();
  JobId first = 0;
  const auto begun = std::ranges::find(running_, true, &Attempted::begun);
  const auto parent = begun != running_.end() && chance(0.3) ? std::optional(begun->id) : std::nullopt;
  try {
    first = scheduler_->on_submit(std::move(jobs), user_, parent, now_, effects_);
    if (scheduler_->draining() && !parent) throw std::logic_error("a draining scheduler took work");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::draining || !scheduler_->draining()) throw;
    if (!effects_.empty()) throw std::logic_error("a refused submit had effects");
  }
  for (JobId id = first; first != 0 && id < first + number; ++id) {
    given_.insert(id);
    if (!chosen->durable) transient_.insert(id);
  }
  count("on_submit");
  after_event();
  return true;
}

Simulation::Attempted* Simulation::any_attempt() { return running_.empty() ? nullptr : &running_[below(running_.size())]; }

bool Simulation::started() {
  // No executor begins more than it has slots for.
  auto places = this->places();
  const auto found = std::ranges::find_if(
      running_, [&](const Attempted& each) { return !each.begun && begun_in(each.place) < places[each.place].slots; });
  if (found == running_.end()) return false;
  found->begun = true;
  const bool program = found->lane == Lane::program || found->lane == Lane::pool;
  scheduler_->on_started(found->id, found->attempt, now_, program ? "runner-1" : "", program ? std::optional(42) : std::nullopt,
                         effects_);
  count("on_started");
  after_event();
  return true;
}

bool Simulation::progress() {
  const Attempted* const attempted = any_attempt();
  if (attempted == nullptr) return false;
  scheduler_->on_progress(attempted->id, attempted->attempt, 0.5, "half", now_, effects_);
  count("on_progress");
  after_event();
  return true;
}

bool Simulation::stopping() {
  const Attempted* const attempted = any_attempt();
  if (attempted == nullptr) return false;
  scheduler_->on_stopping(attempted->id, attempted->attempt, now_, effects_);
  count("on_stopping");
  after_event();
  return true;
}

EndReport Simulation::any_report(const Attempted& attempted) {
  EndReport report;
  switch (below(5)) {
    case 0: report.ending = EndReport::Exited{static_cast<int>(below(2))}; break;
    case 1: report.ending = EndReport::Signalled{9}; break;
    case 2: report.ending = EndReport::Returned{json::Raw{"7"}}; break;
    case 3: report.ending = EndReport::Failed{JobError{"exception", "it failed"}, std::nullopt}; break;
    default: report.ending = EndReport::Lost{"the worker died"}; break;
  }
  report.timed_out = chance(0.1);
  report.stopped = attempted.stopped;
  return report;
}

bool Simulation::ended() {
  const Attempted* const chosen = any_attempt();
  if (chosen == nullptr) return false;
  const Attempted attempted = *chosen;
  running_.erase(running_.begin() + (chosen - running_.data()));
  const EndReport report = any_report(attempted);
  const bool on_a_runner = attempted.lane == Lane::program || attempted.lane == Lane::pool;
  // The runner of a pool knows that it had begun, not how it ended.
  if (on_a_runner) {
    unrecorded_.emplace(std::pair(attempted.id, attempted.attempt), attempted.lane == Lane::pool ? lost_report() : report);
  }
  scheduler_->on_ended(attempted.id, attempted.attempt, report, now_, effects_);
  count("on_ended");
  after_event();
  return true;
}

bool Simulation::returned() {
  const auto found = std::ranges::find(running_, false, &Attempted::begun);
  if (found == running_.end()) return false;
  const Attempted attempted = *found;
  running_.erase(found);
  ever_started_.erase({attempted.id, attempted.attempt});
  store_.returned(attempted.id, attempted.attempt);
  scheduler_->on_returned(attempted.id, attempted.attempt, now_, effects_);
  count("on_returned");
  after_event();
  return true;
}

bool Simulation::commit_time() {
  scheduler_->on_commit_time(Duration(below(20'000)), now_, effects_);
  count("on_commit_time");
  after_event();
  return true;
}

// Mostly one that was submitted lately: those are the interesting ones; or one that waits for its time, of which few are new.
JobId Simulation::any_job() {
  std::vector<JobId> here;
  const bool waiting = chance(0.1);
  scheduler_->each_after(0, jobs_max, [&](const Job& job) {
    if (!waiting || job.is_waiting()) here.push_back(job.id);
    return true;
  });
  if (here.empty() || chance(0.05)) return 1 + below(scheduler_->last_id() + 2);
  return chance(0.7) ? here.back() : here[below(here.size())];
}

bool Simulation::cancel() {
  std::vector<JobId> ids;
  for (auto left = 1 + below(2); left > 0; --left) ids.push_back(any_job());
  const auto result = scheduler_->on_cancel(ids, chance(0.3), now_, effects_);
  const auto answered = result.cancelled.size() + result.stopping.size() + result.already_finished.size() + result.unknown.size();
  if (answered != ids.size()) throw std::logic_error("a cancel did not answer for each id");
  count("on_cancel");
  after_event();
  return true;
}

bool Simulation::cancel_group() {
  const char* const group = groups[below(groups.size())];
  const auto members = scheduler_->unfinished_in_group(group);
  const auto result = scheduler_->on_cancel_group(group, chance(0.3), now_, effects_);
  const auto answered = result.cancelled.size() + result.stopping.size() + result.already_finished.size();
  if (answered != members) throw std::logic_error("a group was not cancelled as a whole");
  count("on_cancel_group");
  after_event();
  return true;
}

bool Simulation::forget() {
  if (published_.empty()) return false;
  const auto number = scheduler_->on_forget(
      {std::next(published_.begin(), static_cast<std::ptrdiff_t>(below(std::min<std::size_t>(published_.size(), 50))))->first},
      effects_);
  if (number != scheduler_->newest_persist()) throw std::logic_error("a forget has no Persist of its own");
  count("on_forget");
  after_event();
  return true;
}

bool Simulation::commit(double refuse) {
  if (!store_.has_work()) return false;
  const auto commit = store_.commit(random_, refuse);
  for (const auto& refused : commit.refused) {
    scheduler_->on_refused(refused.number, now_, effects_);
    for (const JobId id : refused.jobs) {
      if (scheduler_->find(id) != nullptr || !scheduler_->was_refused(id)) wrong(id, "was refused and is still here");
    }
    count("on_refused");
    after_event();
  }
  scheduler_->on_durable(commit.durable);
  count("on_durable");
  release(commit);
  after_event();
  return true;
}

bool Simulation::timer() {
  if (!timer_) return false;
  now_ = std::max(now_, *timer_);
  timer_.reset();
  scheduler_->on_timer(now_, effects_);
  count("on_timer");
  after_event();
  return true;
}

// Read when it was asked, answered whenever: what has become of the jobs meanwhile is the scheduler's to see.
bool Simulation::loaded() {
  if (!loading_) return false;
  auto specs = std::move(*loading_);
  loading_.reset();
  std::ranges::shuffle(specs, random_);
  scheduler_->on_loaded(std::move(specs), now_, effects_);
  count("on_loaded");
  after_event();
  return true;
}

bool Simulation::slots() {
  scheduler_->on_slots(static_cast<Lane>(below(fixed_lanes)), static_cast<std::uint32_t>(below(8)), now_, effects_);
  count("on_slots");
  after_event();
  return true;
}

bool Simulation::set_pool() {
  auto spec = std::make_shared<PoolSpec>();
  spec->name = pool_names[below(pool_names.size())];
  spec->size = static_cast<std::uint32_t>(1 + below(4));
  const auto known = scheduler_->find_pool(spec->name);
  if (known && known->removing) return false;
  told_slots_.erase(spec->name);
  scheduler_->on_pool_set(std::move(spec), chance(0.8) ? user_ : nullptr, now_, effects_);
  count("on_pool_set");
  after_event();
  return true;
}

bool Simulation::remove_pool() {
  const std::string name = pool_names[below(pool_names.size())];
  const auto before = scheduler_->find_pool(name);
  scheduler_->on_pool_remove(name, now_, effects_);
  const auto after = scheduler_->find_pool(name);
  if (after && !after->removing) throw std::logic_error("a pool that was removed still takes jobs");
  if (before) count("on_pool_remove");
  after_event();
  return true;
}

bool Simulation::drain() {
  drain_scope_ = static_cast<DrainScope>(below(3));
  scheduler_->on_drain(drain_scope_, now_, effects_);
  count("on_drain");
  after_event();
  return true;
}

bool Simulation::undrain() {
  scheduler_->on_undrain(now_, effects_);
  count("on_undrain");
  after_event();
  return true;
}

// What an executor says of an attempt that is over, or not begun, changes nothing.
bool Simulation::stale() {
  const JobId id = any_job();
  const Job* const job = scheduler_->find(id);
  const Attempt attempt = job == nullptr ? 1 : job->attempt + 1;
  scheduler_->on_started(id, attempt, now_, "", std::nullopt, effects_);
  scheduler_->on_progress(id, attempt, 1, "", now_, effects_);
  scheduler_->on_stopping(id, attempt, now_, effects_);
  scheduler_->on_returned(id, attempt, now_, effects_);
  scheduler_->on_ended(id, attempt, {}, now_, effects_);
  if (!effects_.empty()) wrong(id, "an attempt that does not run had effects");
  after_event();
  return true;
}

// The daemon dies and the next one goes on from what is on disk: what it knew besides is lost, programs and their runners
// live on.
bool Simulation::restart() {
  store_.crash(random_);
  lose_memory();
  Config anew = config();
  anew.first_id = store_.next_id();
  anew.first_seq = store_.next_seq();
  anew.first_lease = store_.next_lease();
  scheduler_ = std::make_unique<Scheduler>(anew);
  const auto jobs = store_.unfinished();
  scheduler_->on_pools_recovered(store_.pools());
  scheduler_->on_recovered(jobs, {}, now_, effects_, store_.permits());
  count("on_recovered");
  restarting_ = true;
  after_event();
  for (const StoredJob& job : jobs) {
    if (job.has_started() && (job.lane == Lane::program || job.lane == Lane::pool)) take_over(job);
  }
  restarting_ = false;
  places_before_ = places();
  compare_running();
  return true;
}

void Simulation::lose_memory() {
  effects_.clear();
  held_.clear();
  timer_.reset();
  loading_.reset();
  durable_ = 0;
  drain_scope_ = {};
  snapshot_.clear();
  places_before_ = {};
  told_slots_.clear();
  calls_.clear();
  waits_.clear();
  lending_.clear();
  const auto gone = [this](JobId id) { return !store_.submitted(id) && !published_.contains(id); };
  std::erase_if(running_, [&](const Attempted& each) {
    return (each.lane != Lane::program && each.lane != Lane::pool) || !store_.submitted(each.id);
  });
  std::erase_if(unrecorded_, [this](const auto& each) { return !store_.submitted(each.first.first); });
  std::erase_if(ever_started_, [&](const auto& each) { return gone(each.first); });
  std::erase_if(announced_, gone);
  std::erase_if(transient_, gone);
  std::erase_if(given_, [&](JobId id) {
    if (gone(id) && !store_.refused_jobs().contains(id)) store_.drop(id);
    return gone(id);
  });
  for (const JobId id : given_) {
    if (!store_.submitted(id)) continue;
    announced_.insert(id);
    // Its end was recorded and not announced: who asks is told of it now.
    if (const Seq seq = store_.finished(id); seq != 0 && published_.emplace(id, seq).second) count("recorded and not announced");
  }
  // What is over is accounted for, so that a restart costs no more than what is open.
  std::erase_if(given_, [this](JobId id) {
    if (!published_.contains(id)) return false;
    check_account(id);
    return true;
  });
  const auto over = [this](JobId id) { return published_.contains(id); };
  std::erase_if(ever_started_, [&](const auto& each) { return over(each.first); });
  std::erase_if(announced_, over);
  std::erase_if(transient_, over);
}

// As its runner tells it: it lives, or did until its pool's worker was killed, it has ended, or it was never begun.
void Simulation::take_over(const StoredJob& job) {
  const auto run = std::pair(job.id, job.attempt);
  const auto running =
      std::ranges::find_if(running_, [&](const Attempted& each) { return each.id == job.id && each.attempt == job.attempt; });
  if (const auto ended = unrecorded_.find(run); ended != unrecorded_.end()) {
    scheduler_->on_started(job.id, job.attempt, now_, "runner-1", 42, effects_);
    scheduler_->on_ended(job.id, job.attempt, ended->second, now_, effects_);
    count("taken over: has ended");
  } else if (running != running_.end() && running->begun && job.lane == Lane::pool) {
    running_.erase(running);
    unrecorded_.emplace(run, lost_report());
    scheduler_->on_ended(job.id, job.attempt, lost_report(), now_, effects_);
    count("taken over: lost with its pool");
  } else if (running != running_.end() && running->begun) {
    scheduler_->on_started(job.id, job.attempt, now_, "runner-1", 42, effects_);
    count("taken over: lives");
  } else {
    if (running != running_.end()) running_.erase(running);
    ever_started_.erase(run);
    store_.returned(job.id, job.attempt);
    scheduler_->on_returned(job.id, job.attempt, now_, effects_);
    count("taken over: never began");
  }
  after_event();
}

}  // namespace stint::core::simulation
