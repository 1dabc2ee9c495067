// The pools: each is a lane of its own, found by its name, or by the small number that its jobs carry.
//
// A pool that is being removed stays until its last job has ended: it takes no new ones and its name is not free. Holds;
// decides nothing. Part of the core: one thread, no I/O. Throws std::bad_alloc only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/pool.hpp"
#include "daemon/core/effects.hpp"
#include "daemon/core/permits.hpp"

namespace stint::core {

struct PoolLane {
  std::shared_ptr<const PoolSpec> spec;
  std::shared_ptr<const User> owner;  ///< null: it stands in the configuration
  bool removing = false;
  Permits permits;
  std::set<JobId> apart;  ///< unfinished and in no line: they hold a slot, wait for a time, or are doomed

  [[nodiscard]] bool stored() const { return owner && !spec->bind; }
  [[nodiscard]] std::uint64_t unfinished() const {
    return apart.size() + permits.durable.size() + permits.transient.size() + permits.inner.size();
  }
  /// It is being removed, and its last job has ended.
  [[nodiscard]] bool is_over() const { return removing && unfinished() == 0; }
};

class PoolTable {
 public:
  /// The name must be free.
  PoolLane& add(std::shared_ptr<const PoolSpec> spec) {
    std::size_t number = 0;
    while (number < lanes_.size() && lanes_[number]) ++number;
    if (number == lanes_.size()) lanes_.emplace_back();
    lanes_[number] = std::make_unique<PoolLane>();
    numbers_.emplace(spec->name, static_cast<std::uint16_t>(number));
    lanes_[number]->spec = std::move(spec);
    return *lanes_[number];
  }
  void erase(std::string_view name) {
    const auto found = numbers_.find(name);
    lanes_[found->second].reset();
    numbers_.erase(found);
  }

  [[nodiscard]] PoolLane* find(std::string_view name) {
    const auto found = numbers_.find(name);
    return found == numbers_.end() ? nullptr : lanes_[found->second].get();
  }
  [[nodiscard]] const PoolLane* find(std::string_view name) const {
    const auto found = numbers_.find(name);
    return found == numbers_.end() ? nullptr : lanes_[found->second].get();
  }
  [[nodiscard]] PoolLane* find(std::uint16_t number) { return number < lanes_.size() ? lanes_[number].get() : nullptr; }
  /// Of a pool that is there.
  [[nodiscard]] std::uint16_t number_of(std::string_view name) const { return numbers_.find(name)->second; }
  [[nodiscard]] PoolLane& at(std::uint16_t number) { return *lanes_[number]; }
  [[nodiscard]] const PoolLane& at(std::uint16_t number) const { return *lanes_[number]; }

  /// In the order of their names.
  template <class Visit>
  void each(Visit&& visit) {
    for (const auto& [name, number] : numbers_) visit(*lanes_[number]);
  }
  template <class Visit>
  void each(Visit&& visit) const {
    for (const auto& [name, number] : numbers_) visit(std::as_const(*lanes_[number]));
  }

 private:
  std::vector<std::unique_ptr<PoolLane>> lanes_;
  std::map<std::string, std::uint16_t, std::less<>> numbers_;
};

}  // namespace stint::core
