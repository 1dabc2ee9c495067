// Leases: permits that were given to a call, and who holds them; and the calls that still wait for theirs.
//
// Keeps the books, decides nothing: whose turn it is, is Admission's. Numbers of leases only grow and fence: a lease's number is
// its token. A value of the core; throws std::bad_alloc only.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/core/admission.hpp"
#include "daemon/core/effects.hpp"

namespace stint::core {

using LeaseId = std::uint64_t;

/// Whom a lease belongs to: a running job, else a connection. Neither: whoever had it before the daemon's start.
struct Holder {
  std::uint64_t connection = 0;
  JobId job = 0;
  bool operator==(const Holder&) const = default;
};

/// A call for permits of a lock or a semaphore.
struct Acquire {
  std::uint64_t call = 0;
  PermitKind kind{};
  std::string name;
  std::uint64_t permits = 1;
  Holder holder;
  std::string owner;     ///< among whom circles are looked for; empty: the job, if it is one
  bool at_once = false;  ///< it does not wait, so in no circle
};

struct Lease {
  LeaseId id = 0;
  WaiterId waiter = 0;
  Acquire what;
  PersistNumber after = 0;  ///< its LeaseFact; 0: of an earlier daemon
};

class Leases {
 public:
  explicit Leases(LeaseId next) : next_(next) {}

  /// The call waits from now on.
  WaiterId begin(Acquire acquire);
  /// The call has its permits; null where it has left meanwhile.
  Lease* grant(WaiterId waiter);
  /// The call waits no longer; 0 where it does not wait.
  WaiterId leave(std::uint64_t call);
  void end(LeaseId id);
  void bind(Lease& lease, Holder holder);
  Lease& restore(LeaseId id, Acquire what);

  [[nodiscard]] Lease* find(LeaseId id);
  [[nodiscard]] const Lease* find(LeaseId id) const;
  [[nodiscard]] std::vector<LeaseId> of(Holder holder) const;
  [[nodiscard]] std::vector<LeaseId> granted_in(PersistNumber number) const;
  /// What a waiter of Admission is about; null where it is a job.
  [[nodiscard]] const Acquire* about(WaiterId waiter) const;
  [[nodiscard]] const Lease* lease_of(WaiterId waiter) const;
  /// The calls by which this owner waits.
  [[nodiscard]] std::vector<WaiterId> waits_of(const std::string& owner) const;
  /// Owners, and jobs, that wait by a call.
  [[nodiscard]] std::vector<std::string> owners_waiting() const;
  [[nodiscard]] bool waits(std::uint64_t call) const { return calls_.contains(call); }
  /// 0 where the call does not wait.
  [[nodiscard]] WaiterId waiter_of(std::uint64_t call) const {
    const auto found = calls_.find(call);
    return found == calls_.end() ? 0 : found->second;
  }
  [[nodiscard]] bool any_waits() const { return !waiting_.empty(); }
  [[nodiscard]] bool empty() const { return leases_.empty(); }
  [[nodiscard]] LeaseId next() const { return next_; }
  [[nodiscard]] const std::map<LeaseId, Lease>& all() const { return leases_; }
  void check(const Admission& admission) const;

 private:
  static Holder key(Holder holder) { return holder.job != 0 ? Holder{0, holder.job} : holder; }
  void enter(const Lease& lease);

  struct ByHolder {
    bool operator()(const Holder& left, const Holder& right) const {
      return std::pair(left.job, left.connection) < std::pair(right.job, right.connection);
    }
  };

  LeaseId next_;
  std::uint64_t last_waiter_ = 0;
  std::map<LeaseId, Lease> leases_;
  std::map<Holder, std::set<LeaseId>, ByHolder> by_holder_;
  std::unordered_map<WaiterId, LeaseId> by_waiter_;
  std::unordered_map<WaiterId, Acquire> waiting_;
  std::unordered_map<std::uint64_t, WaiterId> calls_;
  std::unordered_map<std::string, std::set<WaiterId>> by_owner_;
  std::map<PersistNumber, std::set<LeaseId>> undecided_;

 public:
  /// Everything up to `number` is decided.
  void decided(PersistNumber number) { undecided_.erase(undecided_.begin(), undecided_.upper_bound(number)); }
  void recorded(Lease& lease, PersistNumber number) {
    lease.after = number;
    undecided_[number].insert(lease.id);
  }
};

/// To whom what it gets belongs, when circles are looked for; empty: nobody knows.
[[nodiscard]] std::string owner_of(const Acquire& acquire);
/// Who goes on only when it is served: its owner, and the job in which that is.
[[nodiscard]] std::vector<std::string> owners_that_wait(const Acquire& acquire);
[[nodiscard]] std::string owner_of_job(JobId job);

}  // namespace stint::core
