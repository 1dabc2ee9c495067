#include "daemon/core/job_table.hpp"

#include <stdexcept>
#include <string>

namespace stint::core {

Job& JobTable::insert(std::unique_ptr<Job> job, const std::optional<std::string>& label) {
  Job& taken = *job;
  if (label) {
    auto found = groups_.find(*label);
    if (found == groups_.end()) found = groups_.emplace(*label, Group{*label}).first;
    Group& group = found->second;
    taken.group = &group;
    taken.group_previous = group.last;
    (group.last == nullptr ? group.first : group.last->group_next) = &taken;
    group.last = &taken;
    ++group.unfinished;
  }
  if (taken.daemon) daemons_.insert(taken.id);
  jobs_.insert(taken.id, std::move(job));
  return taken;
}

void JobTable::leave_group(Job& job) {
  if (job.group == nullptr) return;
  Group& group = *job.group;
  (job.group_previous == nullptr ? group.first : job.group_previous->group_next) = job.group_next;
  (job.group_next == nullptr ? group.last : job.group_next->group_previous) = job.group_previous;
  job.group = nullptr;
  job.group_previous = job.group_next = nullptr;
  if (--group.unfinished == 0) groups_.erase(groups_.find(group.label));
}

const Group* JobTable::group(std::string_view label) const {
  const auto found = groups_.find(label);
  return found == groups_.end() ? nullptr : &found->second;
}

void JobTable::check() const {
  std::uint64_t members = 0;
  std::size_t daemons = 0;
  each_after(0, [&](const Job& job) {
    daemons += job.daemon ? 1 : 0;
    if (job.daemon && !daemons_.contains(job.id)) throw std::logic_error("job " + std::to_string(job.id) + ": not among daemons");
    const bool linked = job.group != nullptr;
    if (job.spec && linked != (!job.is_finished() && job.spec->group.has_value())) {
      throw std::logic_error("job " + std::to_string(job.id) + ": wrong group link");
    }
    if (job.spec && linked && job.group->label != *job.spec->group) {
      throw std::logic_error("job " + std::to_string(job.id) + ": in another group");
    }
    members += linked ? 1 : 0;
    return true;
  });
  for (const auto& [label, group] : groups_) {
    std::uint64_t count = 0;
    const Job* previous = nullptr;
    for (const Job* job = group.first; job != nullptr; job = job->group_next) {
      if (job->group != &group || job->group_previous != previous) throw std::logic_error("group " + label + ": broken links");
      if (find(job->id) != job) throw std::logic_error("group " + label + ": holds a job that is not here");
      previous = job;
      ++count;
    }
    if (group.last != previous || count == 0 || count != group.unfinished) {
      throw std::logic_error("group " + label + ": wrong end or count");
    }
    members -= count;
  }
  if (daemons != daemons_.size()) throw std::logic_error("a daemon job is remembered that is not here");
  if (members != 0) throw std::logic_error("groups: a member stands in no list");
}

}  // namespace stint::core
