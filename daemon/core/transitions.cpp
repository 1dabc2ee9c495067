// The transitions of scheduler_state.hpp.
#include <algorithm>

#include "daemon/core/scheduler_state.hpp"

namespace stint::core {

Scheduler::State::State(const Config& config)
    : ageing(config.ageing),
      pace(config.turnaround),
      next_id(config.first_id),
      next_seq(config.first_seq),
      reservation(config.first_id, config.first_seq) {
  for (std::size_t i = 0; i < lane_count; ++i) lanes[i].capacity = config.slots[i];
}

PersistNumber Scheduler::State::reserve(Step& step) {
  if (auto fact = reservation.extend(next_id, next_seq)) reservation.extended(*fact, step.record(*fact));
  return reservation.wait(next_id, next_seq);
}

Job* Scheduler::State::running(JobId id, Attempt attempt) {
  Job* const job = table.find(id);
  return job != nullptr && job->is_running() && job->attempt == attempt ? job : nullptr;
}

void Scheduler::State::enter(Step& step, Submission submission, const std::shared_ptr<const User>& user, JobId parent,
                             PersistNumber number) {
  auto made = std::make_unique<Job>();
  made->id = next_id++;
  made->parent = parent;
  made->spec = std::move(submission.spec);
  made->item = std::move(submission.item);
  made->user = user;
  made->submitted_at = step.now;
  made->submitted_in = number;
  made->index = submission.index;
  made->lane = submission.lane;
  made->executor = submission.executor;
  Job& job = table.insert(std::move(made));
  lane(job).line(job.durable()).insert(place(job));
  ++submitted;
  if (!job.spec->daemon) ++foreground;
  publish(step, job, EventKind::submitted, number, step.now);
  recall_for(step, job);
}

// The caller has taken it out of its line.
void Scheduler::State::start(Step& step, Job& job) {
  Permits& permits = lane(job);
  ++permits.used;
  if (!job.spec->daemon) ++foreground_running;
  ++job.attempt;
  Running state;
  if (job.lane == Lane::program) permits.unbegun.insert(place(job));
  if (job.durable()) {
    state.after = step.record(StartFact{job.id, job.attempt});
    log.started(state.after, job.id);
  }
  step.emit(Start{state.after, job.lane, job.id, job.attempt});
  job.state = std::move(state);
}

void Scheduler::State::begin(Step& step, Job& job, Time at, std::string worker, std::optional<std::int32_t> pid) {
  auto& state = std::get<Running>(job.state);
  if (job.lane == Lane::program) lane(job).unbegun.erase(place(job));
  state.run.started_at = at;
  state.run.pid = pid;
  if (!worker.empty()) {
    if (!state.run.details) state.run.details = std::make_unique<RunDetails>();
    state.run.details->worker = std::move(worker);
  }
  if (state.phase == Phase::starting) state.phase = Phase::running;
  publish(step, job, EventKind::started, 0, at);
}

void Scheduler::State::request_stop(Step& step, Job& job, bool force) {
  auto& state = std::get<Running>(job.state);
  const bool first = state.stop == StopCause::none;
  if (first) {
    state.stop = StopCause::cancelled;
    state.phase = Phase::stopping;
    ++stopping;
    if (job.durable()) state.after = step.record(CancelFact{job.id});
    publish(step, job, EventKind::stopping, state.after, step.now);
  }
  // Numbers grow, so a Stop never overtakes the Start that it belongs to.
  if (first || force) step.emit(Stop{state.after, job.lane, job.id, job.attempt, force});
}

void Scheduler::State::note_timeout(Step& step, Job& job) {
  auto& state = std::get<Running>(job.state);
  if (state.stop != StopCause::none) return;
  state.stop = StopCause::timed_out;
  state.phase = Phase::stopping;
  ++stopping;
  publish(step, job, EventKind::stopping, 0, step.now);
}

void Scheduler::State::finish_queued(Step& step, Job& job) {
  lane(job).line(job.durable()).erase(place(job));
  EndReport never_ran;
  never_ran.ending = EndReport::Lost{};
  finish(step, job, Outcome::cancelled, std::move(never_ran), false);
}

void Scheduler::State::finish_running(Step& step, Job& job, EndReport report) {
  const auto& state = std::get<Running>(job.state);
  Outcome outcome = report.timed_out ? Outcome::timed_out : natural_outcome(report);
  if (state.stop == StopCause::cancelled) outcome = Outcome::cancelled;
  if (state.stop == StopCause::timed_out) outcome = Outcome::timed_out;
  if (job.lane == Lane::program && state.run.started_at) {
    const Time ended = report.finished_at == Time{} ? step.now : report.finished_at;
    pace.note_run(ended - *state.run.started_at);
    set_allowance();
  }
  leave_slot(job);
  finish(step, job, outcome, std::move(report), true);
}

void Scheduler::State::leave_slot(Job& job) {
  const auto& state = std::get<Running>(job.state);
  Permits& permits = lane(job);
  --permits.used;
  if (!job.spec->daemon) --foreground_running;
  if (state.phase == Phase::stopping) --stopping;
  if (job.lane == Lane::program && !state.run.started_at) permits.unbegun.erase(place(job));
}

void Scheduler::State::finish(Step& step, Job& job, Outcome outcome, EndReport report, bool ran) {
  auto finished = std::make_shared<FinishedJob>();
  finished->id = job.id;
  finished->seq = next_seq++;
  finished->attempt = job.attempt;
  finished->outcome = outcome;
  finished->finished_at = report.finished_at == Time{} ? step.now : report.finished_at;
  finished->user = job.user;
  finished->spec = job.spec;
  finished->item = job.item;
  finished->index = job.index;
  finished->end = std::move(report);

  JobRecord record = describe(job);
  record.state = stint::State::finished;
  record.phase.reset();
  record.progress.reset();
  record.seq = finished->seq;
  record.outcome = outcome;
  record.finished_at = finished->finished_at;
  record.end = ran ? &finished->end : nullptr;
  scratch.clear();
  json::Writer writer(scratch);
  encode_record(writer, record);
  finished->record = scratch;

  leave_unfinished(job);
  ++outcomes[static_cast<std::size_t>(outcome)];

  // Announced in the order of seq: behind the newest finish that still waits for its commit.
  PersistNumber after = 0;
  if (job.durable()) {
    after = step.record(FinishFact{finished});
  } else {
    step.remember(FinishFact{finished});
    after = std::max(log.newest_finish(), reserve(step));
  }
  step.emit(Publish{after, EventKind::finished, job.id, finished->finished_at, job.spec, job.user, job.attempt, 0, {}, finished});
  if (after == 0) {
    table.erase(job.id);
    return;
  }
  log.finished(after, job.id);
  Run run;
  if (auto* const state = std::get_if<Running>(&job.state)) run = std::move(state->run);
  job.state = Finished{std::move(finished), std::move(run)};
}

void Scheduler::State::leave_unfinished(Job& job) {
  table.leave_group(job);
  if (!job.spec->daemon) --foreground;
}

// The attempt never was: the next start has its number again.
void Scheduler::State::put_back(Job& job) {
  const bool cancelled = std::get<Running>(job.state).stop != StopCause::none;
  take_back(job);
  if (!cancelled) return;
  doomed.push_back(job.id);
  job.state = Queued{true};
}

void Scheduler::State::take_back(Job& job) {
  leave_slot(job);
  --job.attempt;
  lane(job).line(job.durable()).insert(place(job));
  job.state = Queued{};
}

// It was told to stop and never began.
void Scheduler::State::finish_returned(Step& step, Job& job) {
  const Outcome outcome = std::get<Running>(job.state).stop == StopCause::timed_out ? Outcome::timed_out : Outcome::cancelled;
  leave_slot(job);
  --job.attempt;
  EndReport never_ran;
  never_ran.ending = EndReport::Lost{};
  finish(step, job, outcome, std::move(never_ran), false);
}

void Scheduler::State::vanish(Job& job) {
  --submitted;
  if (const auto* const finished = std::get_if<Finished>(&job.state)) {
    --outcomes[static_cast<std::size_t>(finished->job->outcome)];
  } else {
    if (job.is_running()) {
      leave_slot(job);
    } else {
      lane(job).line(job.durable()).erase(place(job));
    }
    leave_unfinished(job);
  }
  table.erase(job.id);
}

// One for one: the slots of those that are wanted back are enough for those that go first.
void Scheduler::State::recall_for(Step& step, const Job& job) {
  const Permits& permits = lane(job);
  auto last = permits.unbegun.rbegin();
  for (std::uint64_t left = permits.ahead(); left > 0 && place(job) < *last; --left, ++last) {
    if (recall(step, last->id)) return;
  }
}

void Scheduler::State::recall_ahead(Step& step) {
  for (const Permits& permits : lanes) {
    for (auto each = permits.first_ahead(); each != permits.unbegun.end(); ++each) recall(step, each->id);
  }
}

bool Scheduler::State::recall(Step& step, JobId id) {
  Job& job = *table.find(id);
  auto& state = std::get<Running>(job.state);
  if (state.recalled || state.stop != StopCause::none) return false;
  state.recalled = true;
  step.emit(Recall{state.after, job.lane, job.id, job.attempt});
  return true;
}

void Scheduler::State::set_allowance() {
  Permits& programs = lanes[static_cast<std::size_t>(Lane::program)];
  programs.allowance = pace.ahead(programs.capacity);
}

void Scheduler::State::fill(Step& step, Permits& permits) {
  while (starts_allowed() && permits.any_free()) {
    Line* const line = permits.next(starts_held);
    if (line == nullptr) return;
    Job& job = *table.find(line->front().id);
    line->pop_front();
    start(step, job);
  }
}

void Scheduler::State::fill_all(Step& step) {
  for (auto& permits : lanes) fill(step, permits);
}

void Scheduler::State::stop_daemons(Step& step) {
  if (!drain || *drain == DrainScope::none || daemons_stopped) return;
  if ((*drain == DrainScope::running ? foreground_running : foreground) > 0) return;
  daemons_stopped = true;
  // All that is left are daemon jobs, so this visits only what it stops, and what waits for its commit.
  std::vector<JobId> ids;
  table.each_after(0, [&](const Job& job) {
    if (job.is_running() || (job.is_queued() && starts_allowed())) ids.push_back(job.id);
    return true;
  });
  CancelResult ignored;
  for (const JobId id : ids) cancel(step, *table.find(id), false, ignored);
}

void Scheduler::State::cancel(Step& step, Job& job, bool force, CancelResult& result) {
  const JobId id = job.id;
  if (job.is_finished()) {
    result.already_finished.push_back(id);
  } else if (job.is_running()) {
    // Who was started ahead is queued for everybody outside.
    const bool queued = lane(job).is_ahead(place(job));
    request_stop(step, job, force);
    (queued ? result.cancelled : result.stopping).push_back(id);
  } else {
    if (job.durable()) step.record(CancelFact{id});
    finish_queued(step, job);
    result.cancelled.push_back(id);
  }
}

void Scheduler::State::publish(Step& step, const Job& job, EventKind kind, PersistNumber after, Time at) {
  step.emit(Publish{after, kind, job.id, at, job.spec, job.user, job.attempt, 0, {}, nullptr});
}

}  // namespace stint::core
