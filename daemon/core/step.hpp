// One event being handled: gathers the facts of the step into one Persist (and those of non-durable jobs into another),
// in front of the effects that wait for it.
//
// Made at the beginning of an event, gone at its end. Throws std::bad_alloc only.
#pragma once

#include <cstddef>
#include <utility>

#include "daemon/core/effects.hpp"

namespace stint::core {

class Step {
 public:
  Step(Time at, PersistNumber& newest, Effects& out, bool patient = false)
      : now(at), newest_(newest), out_(out), patient_(patient) {}
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  const Time now;

  /// Adds a fact to the step's Persist, which exists from then on; returns its number.
  PersistNumber record(Fact fact) {
    if (durable_ == none) durable_ = open(++newest_);
    auto& persist = std::get<Persist>(out_[durable_]);
    persist.facts.push_back(std::move(fact));
    return persist.number;
  }
  /// Adds a fact that nothing waits for.
  void remember(Fact fact) {
    if (transient_ == none) transient_ = open(0);
    std::get<Persist>(out_[transient_]).facts.push_back(std::move(fact));
  }
  void emit(Effect effect) { out_.push_back(std::move(effect)); }

 private:
  static constexpr auto none = static_cast<std::size_t>(-1);

  std::size_t open(PersistNumber number) {
    out_.emplace_back(Persist{number, {}, patient_});
    return out_.size() - 1;
  }

  PersistNumber& newest_;
  Effects& out_;
  const bool patient_;
  std::size_t durable_ = none;  // where its Persist stands in out_
  std::size_t transient_ = none;
};

}  // namespace stint::core
