// Who waits for whom, as Circles asks for it: calls for permits, queued jobs that lack some, jobs that wait for other jobs.
#include <algorithm>
#include <charconv>

#include "common/error.hpp"
#include "daemon/core/circles.hpp"
#include "daemon/core/scheduler_state.hpp"

namespace stint::core {
namespace {

constexpr std::string_view job_owner = "job ";

/// 0: the owner is no job.
JobId job_of(std::string_view owner) {
  JobId id = 0;
  if (owner.starts_with(job_owner)) std::from_chars(owner.data() + job_owner.size(), owner.data() + owner.size(), id);
  return id;
}

}  // namespace

std::string owner_of_job(JobId job) { return std::string(job_owner) + std::to_string(job); }

std::string owner_of(const Acquire& acquire) {
  if (!acquire.owner.empty()) return "owner " + acquire.owner;
  return acquire.holder.job != 0 ? owner_of_job(acquire.holder.job) : std::string();
}

std::vector<std::string> owners_that_wait(const Acquire& acquire) {
  std::vector<std::string> owners;
  if (std::string owner = owner_of(acquire); !owner.empty()) owners.push_back(std::move(owner));
  if (!acquire.owner.empty() && acquire.holder.job != 0) owners.push_back(owner_of_job(acquire.holder.job));
  return owners;
}

std::vector<Circles::Wait> Scheduler::State::waits_of(const std::string& owner) const {
  std::vector<Circles::Wait> waits;
  const auto wait_for = [&](std::uint64_t call, PermitKind kind, std::string_view name, std::uint64_t permits,
                            std::uint64_t limit) {
    const Admission::ResourceState at = admission.state_of(kind, name);
    Circles::Wait wait{call, kind, std::string(name), permits, std::min(at.capacity, limit), {}, {}, false};
    for (const auto& [id, held] : at.holders) {
      const Acquire* const theirs = leases.about(id);
      wait.holders.emplace_back(theirs == nullptr ? owner_of_job(id) : owner_of(*theirs), held);
    }
    waits.push_back(std::move(wait));
  };
  for (const WaiterId id : leases.waits_of(owner)) {
    if (admission.holds(id)) continue;  // it is told when the store takes facts again
    const Acquire& what = *leases.about(id);
    wait_for(what.call, what.kind, what.name, what.permits, Need::unlimited);
  }
  const Job* const job = table.find(job_of(owner));
  if (job == nullptr) return waits;
  if (job->is_queued() && job->limited && !admission.is_ready(job->id)) {
    for (const Admission::Holding& need : admission.needs_of(job->id))
      wait_for(0, need.kind, need.name, need.permits, need.limit);
  }
  job_waits.each_of(job->id, [&](const JobWait& wait) {
    Circles::Wait made;
    made.call = wait.call;
    made.any = wait.any;
    bool ended = false;
    const auto add = [&](const Job* other) {
      const bool here = other != nullptr && !other->is_finished();
      if (here) made.jobs.push_back(owner_of_job(other->id));
      ended = ended || !here;
    };
    for (const JobId id : wait.ids) add(table.find(id));
    const Group* const group = wait.group.empty() ? nullptr : table.group(wait.group);
    if (group != nullptr && group->unfinished <= Circles::owners_max) {
      for (const Job* each = group->first; each != nullptr; each = each->group_next) add(each);
    }
    // Where one is enough, one that has ended is; of a group's members nobody knows here who has.
    if (!made.jobs.empty() && !(wait.any && (ended || group != nullptr))) waits.push_back(std::move(made));
  });
  return waits;
}

std::optional<Circles::Circle> Scheduler::State::circle_of(const std::string& first) const {
  return Circles::find(first, [this](const std::string& owner) { return waits_of(owner); });
}

void Scheduler::State::refuse_circle(const std::string& first) const {
  if (auto circle = circle_of(first)) throw in_a_circle(std::move(circle->told));
}

void Scheduler::State::break_circles(Step& step, const std::string& first) {
  while (auto circle = circle_of(first)) {
    if (circle->call == 0) return;
    job_waits.end(circle->call);
    if (const WaiterId waiter = leases.leave(circle->call)) admission.leave(waiter, step.now);
    step.emit(Refuse{newest_persist, circle->call, in_a_circle(std::move(circle->told))});
  }
}

std::vector<std::string> Scheduler::State::owners_waiting() const {
  std::vector<std::string> owners = leases.owners_waiting();
  for (const JobId job : job_waits.jobs()) owners.push_back(owner_of_job(job));
  return owners;
}

void Scheduler::on_wait(JobWait wait) {
  State& s = *state_;
  const std::uint64_t call = wait.call;
  const std::string owner = owner_of_job(wait.job);
  s.job_waits.begin(std::move(wait));
  try {
    s.refuse_circle(owner);
  } catch (const Error&) {
    s.job_waits.end(call);
    throw;
  }
}

void Scheduler::on_wait_over(std::uint64_t call) { state_->job_waits.end(call); }

}  // namespace stint::core
