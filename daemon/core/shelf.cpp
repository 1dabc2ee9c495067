// Which specifications are in memory: those of who runs and of the front of each line; the others lie in the store.
#include <algorithm>

#include "daemon/core/scheduler_state.hpp"

namespace stint::core {
namespace {

/// Jobs that have only to end are read so many at a time, so that a million of them do not fill the memory.
constexpr std::size_t read_jobs_max = 1'024;

}  // namespace

// A few that wait keep theirs: they may be woken soon.
bool Scheduler::State::is_deep(const Job& job) const {
  // One that has finished may have outlived its pool.
  if (!job.durable || !(job.is_queued() || job.is_waiting())) return false;
  const Window& window = lane(job).window;
  if (job.is_queued() && job.limited && !admission.is_ready(job.id)) return true;
  if (job.is_queued()) return !window.covers(place(job)) && !lane(job).inner.contains(place(job));
  return !job.limited &&  // its specification says which permits to stand in line for
         timetable.size(Alarm::wake) > window.size();
}

void Scheduler::State::shelve(Job& job) {
  if (!job.spec || !is_deep(job)) return;
  if (job.submitted_in > decided) {
    // Nearly always the newest.
    const auto at = std::ranges::upper_bound(unshelved, job.submitted_in, {}, &std::pair<PersistNumber, JobId>::first);
    unshelved.emplace(at, job.submitted_in, job.id);
    return;
  }
  job.spec.reset();
  job.item.reset();
}

void Scheduler::State::shelve_decided(PersistNumber number) {
  decided = std::max(decided, number);
  while (!unshelved.empty() && unshelved.front().first <= decided) {
    Job* const job = table.find(unshelved.front().second);
    unshelved.pop_front();
    if (job != nullptr) shelve(*job);
  }
}

void Scheduler::State::doom(Step& step, Job& job, Outcome outcome) {
  if (job.is_waiting() && !job.daemon) ++foreground;
  stop_standing(step, job);
  job.state = Doomed{outcome};
  ++lane(job).doomed;
  stand_apart(job);
  unread.push_back(job.id);
}

void Scheduler::State::end_unstarted(Step& step, Job& job, Outcome outcome) {
  const Lane lane = job.lane;
  const std::uint16_t pool = job.pool;
  if (job.spec) {
    finish_unstarted(step, job, outcome);
  } else {
    doom(step, job, outcome);
  }
  if (Permits* const left = find_lane(lane, pool)) keep_loaded(step, *left);
}

void Scheduler::State::keep_loaded(Step& step, Permits& permits) {
  permits.window.advance(permits.durable, [this](JobId id) {
    if (!table.find(id)->spec) missing.push_back(id);
  });
  if (!reading.empty() || (missing.empty() && unread.empty())) return;
  for (const JobId id : std::exchange(missing, {})) {
    const Job* const job = table.find(id);
    if (job != nullptr && !job->spec && job->is_queued() && !is_deep(*job)) reading.push_back(id);
  }
  for (; !unread.empty() && reading.size() < read_jobs_max; unread.pop_front()) {
    const Job* const job = table.find(unread.front());
    if (job != nullptr && job->is_doomed() && !job->spec) reading.push_back(unread.front());
  }
  if (!reading.empty()) step.emit(Load{reading});
}

void Scheduler::State::take_loaded(Step& step, LoadedSpec loaded) {
  Job* const job = table.find(loaded.id);
  if (job == nullptr || job->spec || !loaded.spec) return;
  const auto* const doomed_to = std::get_if<Doomed>(&job->state);
  if (doomed_to == nullptr && (!job->is_queued() || is_deep(*job))) return;
  job->spec = std::move(loaded.spec);
  job->item = std::move(loaded.item);
  if (doomed_to != nullptr) finish_unstarted(step, *job, doomed_to->outcome);
}

}  // namespace stint::core
