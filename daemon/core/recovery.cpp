// What an earlier daemon left unfinished comes back: Scheduler::on_recovered.
#include "daemon/core/scheduler_state.hpp"

namespace stint::core {
namespace {

EndReport lost_with_the_daemon() {
  EndReport report;
  report.ending = EndReport::Lost{"the daemon ended while it ran: how it would have ended cannot be known"};
  return report;
}

}  // namespace

// Its line, its slot and its group are as they were; nothing is announced, because nothing has happened to it.
Job& Scheduler::State::restore(StoredJob stored) {
  auto made = std::make_unique<Job>();
  made->id = stored.id;
  made->parent = stored.parent;
  made->spec = std::move(stored.spec);
  made->item = std::move(stored.item);
  made->user = std::move(stored.user);
  made->submitted_at = stored.submitted_at;
  made->index = stored.index;
  made->lane = stored.lane;
  made->executor = stored.executor;
  made->attempt = stored.attempt;
  Job& job = table.insert(std::move(made));
  ++submitted;
  if (!job.spec->daemon) ++foreground;
  if (stored.attempt == 0) {
    lane(job).line(true).insert(place(job));
    return job;
  }
  Running state;
  if (stored.cancelled) {
    state.stop = StopCause::cancelled;
    state.phase = Phase::stopping;
    ++stopping;
  }
  ++lane(job).used;
  if (!job.spec->daemon) ++foreground_running;
  if (job.lane == Lane::program) lane(job).unbegun.insert(place(job));
  job.state = std::move(state);
  return job;
}

void Scheduler::on_recovered(std::vector<StoredJob> jobs, std::vector<KeyedSubmit> keys, Time now, Effects& out) {
  State& s = *state_;
  for (KeyedSubmit& key : keys) s.keys.add(std::move(key), 0);
  Step step(now, s.newest_persist, out);
  for (StoredJob& stored : jobs) {
    const bool cancelled = stored.cancelled;
    Job& job = s.restore(std::move(stored));
    if (job.is_queued()) {
      if (cancelled) s.finish_queued(step, job);
    } else if (job.lane != Lane::program) {
      s.finish_running(step, job, lost_with_the_daemon());
    } else if (cancelled) {
      step.emit(Stop{0, job.lane, job.id, job.attempt, false});
    }
  }
  s.fill_all(step);
}

}  // namespace stint::core
