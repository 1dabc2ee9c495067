#include "daemon/core/leases.hpp"

#include <stdexcept>
#include <utility>

namespace stint::core {

WaiterId Leases::begin(Acquire acquire) {
  const WaiterId waiter = of_call(++last_waiter_);
  calls_.emplace(acquire.call, waiter);
  for (const std::string& owner : owners_that_wait(acquire)) by_owner_[owner].insert(waiter);
  waiting_.emplace(waiter, std::move(acquire));
  return waiter;
}

WaiterId Leases::leave(std::uint64_t call) {
  const auto found = calls_.extract(call);
  if (!found) return 0;
  const auto waiting = waiting_.extract(found.mapped());
  for (const std::string& name : owners_that_wait(waiting.mapped())) {
    const auto owner = by_owner_.find(name);
    owner->second.erase(found.mapped());
    if (owner->second.empty()) by_owner_.erase(owner);
  }
  return found.mapped();
}

Lease* Leases::grant(WaiterId waiter) {
  const auto waiting = waiting_.find(waiter);
  if (waiting == waiting_.end()) return nullptr;
  Acquire what = waiting->second;
  leave(what.call);
  Lease& lease = leases_[next_];
  lease = {next_++, waiter, std::move(what), 0};
  enter(lease);
  return &lease;
}

Lease& Leases::restore(LeaseId id, Acquire what) {
  Lease& lease = leases_[id];
  lease = {id, of_call(++last_waiter_), std::move(what), 0};
  enter(lease);
  return lease;
}

void Leases::enter(const Lease& lease) {
  by_holder_[key(lease.what.holder)].insert(lease.id);
  by_waiter_.emplace(lease.waiter, lease.id);
}

void Leases::end(LeaseId id) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return;
  const Lease& lease = found->second;
  const auto holder = by_holder_.find(key(lease.what.holder));
  holder->second.erase(id);
  if (holder->second.empty()) by_holder_.erase(holder);
  by_waiter_.erase(lease.waiter);
  if (const auto entry = undecided_.find(lease.after); entry != undecided_.end()) entry->second.erase(id);
  leases_.erase(found);
}

void Leases::bind(Lease& lease, Holder holder) {
  const auto before = by_holder_.find(key(lease.what.holder));
  before->second.erase(lease.id);
  if (before->second.empty()) by_holder_.erase(before);
  lease.what.holder = holder;
  by_holder_[key(holder)].insert(lease.id);
}

Lease* Leases::find(LeaseId id) { return const_cast<Lease*>(std::as_const(*this).find(id)); }
const Lease* Leases::find(LeaseId id) const {
  const auto found = leases_.find(id);
  return found == leases_.end() ? nullptr : &found->second;
}

std::vector<LeaseId> Leases::of(Holder holder) const {
  const auto found = by_holder_.find(key(holder));
  return found == by_holder_.end() ? std::vector<LeaseId>{} : std::vector(found->second.begin(), found->second.end());
}

std::vector<LeaseId> Leases::granted_in(PersistNumber number) const {
  const auto found = undecided_.find(number);
  return found == undecided_.end() ? std::vector<LeaseId>{} : std::vector(found->second.begin(), found->second.end());
}

const Acquire* Leases::about(WaiterId waiter) const {
  if (const auto found = waiting_.find(waiter); found != waiting_.end()) return &found->second;
  const Lease* const lease = lease_of(waiter);
  return lease == nullptr ? nullptr : &lease->what;
}

const Lease* Leases::lease_of(WaiterId waiter) const {
  const auto found = by_waiter_.find(waiter);
  return found == by_waiter_.end() ? nullptr : &leases_.at(found->second);
}

std::vector<WaiterId> Leases::waits_of(const std::string& owner) const {
  const auto found = by_owner_.find(owner);
  return found == by_owner_.end() ? std::vector<WaiterId>{} : std::vector(found->second.begin(), found->second.end());
}

std::vector<std::string> Leases::owners_waiting() const {
  std::vector<std::string> owners;
  for (const auto& [owner, waiters] : by_owner_) owners.push_back(owner);
  return owners;
}

void Leases::check(const Admission& admission) const {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::logic_error(std::string("leases: ") + what);
  };
  std::size_t held = 0;
  for (const auto& [holder, ids] : by_holder_) {
    require(!ids.empty(), "a holder of nothing is kept");
    for (const LeaseId id : ids) require(leases_.contains(id) && key(leases_.at(id).what.holder) == holder, "a holder is wrong");
    held += ids.size();
  }
  require(held == leases_.size() && by_waiter_.size() == leases_.size(), "an index is wrong");
  for (const auto& [id, lease] : leases_) {
    require(id < next_, "a number was never given");
    require(by_waiter_.at(lease.waiter) == id, "a waiter is wrong");
    require(admission.holds(lease.waiter), "a lease holds no permit");
  }
  require(calls_.size() == waiting_.size(), "a call waits twice, or not at all");
  for (const auto& [waiter, acquire] : waiting_) {
    require(calls_.at(acquire.call) == waiter, "a call is known as another");
    require(admission.knows(waiter), "a call stands in no line");
  }
}

}  // namespace stint::core
