// Ids and seqs that may be given away without being stored: those of non-durable jobs, which only grow across restarts too.
//
// A block ahead is reserved by one fact, the next one when half of it is used up, so that nobody waits for a commit but
// who uses a block up faster than that. Durable jobs need none: their own facts carry their numbers. A value; throws
// nothing.
#pragma once

#include <algorithm>
#include <optional>

#include "daemon/core/effects.hpp"

namespace stint::core {

class Reservation {
 public:
  static constexpr std::uint64_t block = 65'536;

  Reservation(JobId ids, Seq seqs) : durable_{ids, seqs}, asked_{ids, seqs} {}

  /// What is to be recorded before `ids` and `seqs`, the next ones, come near the bound.
  [[nodiscard]] std::optional<ReserveFact> extend(JobId ids, Seq seqs) const {
    if (ids + block / 2 <= asked_.ids && seqs + block / 2 <= asked_.seqs) return std::nullopt;
    return ReserveFact{std::max(asked_.ids, ids + block), std::max(asked_.seqs, seqs + block)};
  }
  void extended(const ReserveFact& fact, PersistNumber number) {
    asked_ = fact;
    number_ = number;
  }
  void decided(PersistNumber number) {
    if (number >= number_) durable_ = asked_;
  }

  /// The Persist that must be durable before numbers below `ids` and `seqs` may be seen outside; 0: none.
  [[nodiscard]] PersistNumber wait(JobId ids, Seq seqs) const {
    return ids <= durable_.ids && seqs <= durable_.seqs ? 0 : number_;
  }

 private:
  ReserveFact durable_;
  ReserveFact asked_;
  PersistNumber number_ = 0;
};

}  // namespace stint::core
