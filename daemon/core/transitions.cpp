// The transitions of scheduler_state.hpp.
#include <algorithm>

#include "daemon/core/retry_rule.hpp"
#include "daemon/core/scheduler_state.hpp"

namespace stint::core {

JobTimes times_of(const JobSpec& spec, Time now) {
  JobTimes times;
  if (spec.delay) times.not_before = now + *spec.delay;
  if (spec.at) times.not_before = *spec.at;
  if (spec.expires) times.expires_at = now + *spec.expires;
  return times;
}

Scheduler::State::State(const Config& config)
    : ageing(config.ageing),
      reclaim(config.reclaim),
      loaded_jobs(config.loaded_jobs),
      new_pace(config.turnaround, config.company),
      leases(config.first_lease),
      next_id(config.first_id),
      next_seq(config.first_seq),
      reservation(config.first_id, config.first_seq) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(Lane::pool); ++i) {
    lanes[i].capacity = lanes[i].slots = config.slots[i];
    lanes[i].window = Window(loaded_jobs);
  }
  lanes[static_cast<std::size_t>(Lane::program)].pace = new_pace;
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
  const JobSpec& spec = *submission.spec;
  const auto [not_before, expires_at] = times_of(spec, step.now);
  made->priority = static_cast<std::int16_t>(spec.priority);
  made->durable = spec.durable;
  made->daemon = spec.daemon;
  made->limited = spec.needs_permits();
  made->spec = std::move(submission.spec);
  made->item = std::move(submission.item);
  made->user = user;
  made->submitted_at = step.now;
  made->submitted_in = number;
  made->index = submission.index;
  made->lane = submission.lane;
  made->executor = submission.executor;
  if (expires_at) made->expires_at = *expires_at;
  if (made->lane == Lane::pool) made->pool = pools.number_of(*spec.pool);
  Job& job = table.insert(std::move(made), spec.group);
  ++submitted;
  publish(step, job, EventKind::submitted, number, step.now);
  set_expiry(step, job);
  if (not_before && *not_before > step.now) {
    job.state = Waiting{*not_before};
    stand_apart(job);
    set_alarm(step, Alarm::wake, *not_before, job.id);
    shelve(job);
    return;
  }
  stand_in_line(step, job);
  recall_for(step, job);
}

void Scheduler::State::stand_in_line(Step& step, Job& job) {
  stand_apart_no_more(job);
  if (job.daemon) {
    daemons_told = false;
  } else {
    ++foreground;
  }
  job.state = Queued{};
  if (job.limited) {
    park(job);
    admission.join(place(job), needs_of(*job.spec), step.now);
    if (!admission.is_ready(job.id)) {
      if (!job_waits.empty()) break_circles(step, owner_of_job(job.id));
      shelve(job);
    }
    return;
  }
  join_line(job);
}

void Scheduler::State::join_line(Job& job) {
  Permits& permits = lane(job);
  if (is_inner(job)) {
    if (job.daemon) daemons_told = false;
    permits.inner.insert(place(job));
    if (!job.spec) missing.push_back(job.id);
    return;
  }
  permits.line(job.durable).insert(place(job));
  if (!job.durable) return;
  permits.window.joined(permits.durable, place(job));
  if (!permits.window.covers(place(job))) {
    shelve(job);
  } else if (!job.spec) {
    missing.push_back(job.id);
  }
  permits.window.retreat(permits.durable, [this](JobId id) { shelve(*table.find(id)); });
}

void Scheduler::State::leave_line(Job& job) {
  if (lane(job).inner.erase(place(job))) return;
  lane(job).line(job.durable).erase(place(job));
  if (job.durable) lane(job).window.left(place(job));
}

void Scheduler::State::stop_standing(Step& step, Job& job) {
  if (const auto* const waiting = std::get_if<Waiting>(&job.state)) timetable.clear(Alarm::wake, waiting->until, job.id);
  if (job.is_queued() && job.limited) {
    if (lane(job).stands(job.durable, place(job))) {
      leave_line(job);
    } else {
      unpark(job);
    }
    note_woken(job);  // it may have stood before those who need no slot of their own
    admission.leave(job.id, step.now);
  } else if (job.is_queued()) {
    leave_line(job);
  }
  if (job.is_doomed()) --lane(job).doomed;
  stand_apart_no_more(job);
  clear_expiry(job);
}

void Scheduler::State::wake(Step& step, Job& job) {
  stand_in_line(step, job);
  recall_for(step, job);
}

// Only the first start can come too late.
void Scheduler::State::set_expiry(Step& step, const Job& job) {
  if (job.expires_at != Time{} && job.attempt == 0) set_alarm(step, Alarm::expire, job.expires_at, job.id);
}

void Scheduler::State::clear_expiry(const Job& job) {
  if (job.expires_at != Time{} && job.attempt == 0) timetable.clear(Alarm::expire, job.expires_at, job.id);
}

void Scheduler::State::set_alarm(Step& step, Alarm alarm, Time at, std::uint64_t number) {
  if (const auto first = timetable.set(alarm, at, number)) step.emit(ArmTimer{*first});
}

// The caller has taken it out of its line.
void Scheduler::State::start(Step& step, Job& job) {
  clear_expiry(job);
  take_slot(job);
  ++job.attempt;
  Running state;
  if (job.durable) {
    state.after = step.record(StartFact{job.id, job.attempt});
    log.started(state.after, job.id);
  } else {
    // After a crash its id must not be another job's, for which this run might be taken.
    state.after = reservation.wait(job.id + 1, 0);
  }
  step.emit(Start{state.after, job.lane, job.id, job.attempt, job.durable});
  job.state = std::move(state);
}

void Scheduler::State::begin(Step& step, Job& job, Time at, std::string worker, std::optional<std::int32_t> pid) {
  auto& state = std::get<Running>(job.state);
  Permits& permits = lane(job);
  permits.unbegun.erase(place(job));
  permits.wanted_back.erase(place(job));
  if (permits.pace && job.limited) --permits.limited_unbegun;
  permits.last_begun = std::max(permits.last_begun, at);
  state.run.started_at = at;
  state.run.pid = pid;
  if (!worker.empty()) {
    if (!state.run.details) state.run.details = std::make_unique<RunDetails>();
    state.run.details->worker = std::move(worker);
  }
  if (state.phase == Phase::starting) state.phase = state.lenders > 0 ? Phase::lent : Phase::running;
  publish(step, job, EventKind::started, 0, at);
}

void Scheduler::State::request_stop(Step& step, Job& job, bool force) {
  auto& state = std::get<Running>(job.state);
  const bool first = state.stop == StopCause::none;
  if (first) {
    state.stop = StopCause::cancelled;
    state.phase = Phase::stopping;
    ++stopping;
    if (job.durable) state.after = step.record(CancelFact{job.id});
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

void Scheduler::State::finish_unstarted(Step& step, Job& job, Outcome outcome) {
  stop_standing(step, job);
  EndReport never_ran;
  never_ran.ending = EndReport::Lost{};
  finish(step, job, outcome, std::move(never_ran), false);
}

void Scheduler::State::end_attempt(Step& step, Job& job, EndReport report) {
  end_waits(step, job.id);
  if (!leases.empty()) release_all(step, {0, job.id});
  const auto& state = std::get<Running>(job.state);
  Outcome outcome = report.timed_out ? Outcome::timed_out : natural_outcome(report);
  if (state.stop == StopCause::cancelled) outcome = Outcome::cancelled;
  if (state.stop == StopCause::timed_out) outcome = Outcome::timed_out;
  if (Permits& permits = lane(job); permits.pace && state.run.started_at) {
    const Time ended = report.finished_at == Time{} ? step.now : report.finished_at;
    permits.pace->note_run(ended - *state.run.started_at);
    permits.set_allowance();
  }
  const bool pool_goes = job.lane == Lane::pool && pools.at(job.pool).removing;
  if (job.spec->retry.max > 0 && !pool_goes && runs_again(job.spec->retry, outcome, job.attempt)) {
    retry(step, job, outcome, std::move(report));
  } else {
    finish_running(step, job, outcome, std::move(report));
  }
}

void Scheduler::State::finish_running(Step& step, Job& job, Outcome outcome, EndReport report) {
  leave_slot(step, job);
  finish(step, job, outcome, std::move(report), true);
}

// The attempt is recorded with its end and the time of the next, so that its output can still be read and a daemon that
// starts again waits on; only the last attempt finishes the job, because a seq and a result must never change.
void Scheduler::State::retry(Step& step, Job& job, Outcome outcome, EndReport report) {
  leave_slot(step, job);
  if (!job.daemon) --foreground;
  const Time ended_at = report.finished_at == Time{} ? step.now : report.finished_at;
  const Time again_at = step.now + retry_delay(job.spec->retry, job.id, job.attempt);
  const std::uint64_t kept_bytes = kept_output_bytes(report, *job.spec);
  const auto ended = std::make_shared<const EndedAttempt>(
      EndedAttempt{job.id, job.attempt, outcome, ended_at, again_at, std::move(report), kept_bytes});
  PersistNumber after = 0;
  if (job.durable) {
    after = step.record(RetryFact{ended});
  } else {
    step.remember(RetryFact{ended});
  }
  step.emit(Publish{.after = after,
                    .kind = EventKind::retrying,
                    .id = job.id,
                    .at = ended_at,
                    .spec = job.spec,
                    .user = job.user,
                    .attempt = job.attempt,
                    .text = {},
                    .finished = nullptr,
                    .ended = ended});
  job.state = Waiting{again_at};
  stand_apart(job);
  set_alarm(step, Alarm::wake, again_at, job.id);
  shelve(job);
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
  if (!ran && job.lane == Lane::pool && pools.at(job.pool).removing) record.error = gone_error(*pools.at(job.pool).spec);
  scratch.clear();
  json::Writer writer(scratch);
  encode_record(writer, record);
  finished->record = scratch;

  leave_unfinished(job);
  if (job.lane == Lane::pool) drop_if_over(pools.at(job.pool));
  ++outcomes[static_cast<std::size_t>(outcome)];

  // Announced in the order of seq: behind the newest finish that still waits for its commit.
  PersistNumber after = 0;
  if (job.durable) {
    after = step.record(FinishFact{finished});
  } else {
    step.remember(FinishFact{finished});
    after = std::max(log.newest_finish(), reserve(step));
  }
  step.emit(Publish{
      after, EventKind::finished, job.id, finished->finished_at, job.spec, job.user, job.attempt, 0, {}, finished, nullptr});
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
  if (!job.daemon && !job.is_waiting()) --foreground;
}

// The attempt never was: the next start has its number again.
void Scheduler::State::put_back(Step& step, Job& job) {
  if (std::get<Running>(job.state).stop == StopCause::none) return take_back(step, job);
  leave_slot(step, job);
  --job.attempt;
  ++lane(job).doomed;
  doomed.push_back(job.id);
  job.state = Doomed{Outcome::cancelled};
  stand_apart(job);
}

void Scheduler::State::take_back(Step& step, Job& job) {
  leave_slot(step, job);
  --job.attempt;
  if (!job.daemon) --foreground;  // stand_in_line counts it
  stand_in_line(step, job);
  set_expiry(step, job);
}

// It was told to stop and never began.
void Scheduler::State::finish_returned(Step& step, Job& job) {
  const Outcome outcome = std::get<Running>(job.state).stop == StopCause::timed_out ? Outcome::timed_out : Outcome::cancelled;
  leave_slot(step, job);
  --job.attempt;
  EndReport never_ran;
  never_ran.ending = EndReport::Lost{};
  finish(step, job, outcome, std::move(never_ran), false);
}

void Scheduler::State::vanish(Step& step, Job& job) {
  --submitted;
  if (const auto* const finished = std::get_if<Finished>(&job.state)) {
    --outcomes[static_cast<std::size_t>(finished->job->outcome)];
  } else {
    if (job.is_running()) {
      leave_slot(step, job);
    } else {
      stop_standing(step, job);
    }
    leave_unfinished(job);
    if (job.lane == Lane::pool) drop_if_over(pools.at(job.pool));
  }
  table.erase(job.id);
}

void Scheduler::State::on_due(Step& step, Timetable::Entry due) {
  if (due.alarm == Alarm::store) {
    starts_held = false;
    for (const WaiterId id : std::exchange(grants_held, {})) admission.changes.push_back({Admission::Change::Kind::granted, id});
    for (const JobId id : std::exchange(doomed, {})) {
      Job* const job = table.find(id);
      if (job != nullptr && job->is_doomed() && job->spec) finish_unstarted(step, *job, Outcome::cancelled);
    }
    return;
  }
  if (due.alarm == Alarm::stall) return look_for_stall(step, due.number);
  if (due.alarm == Alarm::reclaim) {
    const Lease* const lease = leases.find(due.number);
    if (lease != nullptr && lease->what.holder == Holder{}) release(step, due.number);
    return;
  }
  Job& job = *table.find(due.number);  // who ends before its time is taken out of the timetable
  if (due.alarm == Alarm::wake) {
    wake(step, job);
  } else {
    end_unstarted(step, job, Outcome::expired);
  }
}

void Scheduler::State::cancel(Step& step, Job& job, bool force, CancelResult& result) {
  const JobId id = job.id;
  if (job.is_finished()) {
    result.already_finished.push_back(id);
  } else if (job.is_running()) {
    // Who was started ahead is queued for everybody outside: it ends with the first call.
    const bool queued = lane(job).is_ahead(place(job));
    const bool again = std::get<Running>(job.state).stop != StopCause::none;
    request_stop(step, job, force);
    (!queued ? result.stopping : again ? result.already_finished : result.cancelled).push_back(id);
  } else {
    result.cancelled.push_back(id);
    if (job.is_doomed() && !job.spec) return;
    if (job.durable) step.record(CancelFact{id});
    end_unstarted(step, job, Outcome::cancelled);
  }
}

void Scheduler::State::publish(Step& step, const Job& job, EventKind kind, PersistNumber after, Time at) {
  step.emit(Publish{after, kind, job.id, at, job.spec, job.user, job.attempt, 0, {}, nullptr, nullptr});
}

}  // namespace stint::core
