// What an answer says of a job that is here: its state as a record with pointers into it.
#include "daemon/core/scheduler_state.hpp"

namespace stint::core {
namespace {

struct Describer {
  JobRecord& record;

  void operator()(const Queued&) const { record.state = State::queued; }
  void operator()(const Waiting&) const { record.state = State::waiting; }
  void operator()(const Doomed&) const { record.state = State::queued; }
  void operator()(const Running& running) const {
    record.state = State::running;
    record.phase = running.phase;
    fill(running.run);
    if (running.run.details) record.progress = running.run.details->progress;
  }
  void operator()(const Finished& finished) const {
    record.state = State::finished;
    fill(finished.run);
    const FinishedJob& job = *finished.job;
    record.seq = job.seq;
    record.outcome = job.outcome;
    record.finished_at = job.finished_at;
    if (job.attempt > 0) record.end = &job.end;
  }

  void fill(const Run& run) const {
    record.started_at = run.started_at;
    record.pid = run.pid;
    if (run.details) record.worker = run.details->worker;
  }
};

}  // namespace

JobRecord describe(const Job& job) {
  JobRecord record;
  record.id = job.id;
  record.spec = job.spec.get();
  record.item = job.item.get();
  record.index = job.index;
  if (job.user) record.user = job.user->name;
  record.executor = job.executor;
  record.attempt = job.attempt;
  if (job.parent != 0) record.parent = job.parent;
  record.submitted_at = job.submitted_at;
  std::visit(Describer{record}, job.state);
  return record;
}

}  // namespace stint::core
