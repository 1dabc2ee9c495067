// Waiting in a circle: whether an owner could ever go on, if everybody who can go on gives back what they hold.
//
// Owners are jobs, and what calls name as their `owner`. The graph is made for one question and reduced: an owner is free where
// each of its waits could be met once the free ones have given everything back; who is left waits in a circle. Only what can be
// reached from the one who asks is looked at, at most `owners_max`; past that nothing is claimed. A value; throws std::bad_alloc
// only.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "daemon/core/admission.hpp"

namespace stint::core {

class Circles {
 public:
  static constexpr std::size_t owners_max = 10'000;

  /// One thing that an owner waits for.
  struct Wait {
    std::uint64_t call = 0;  ///< which waits for it; 0: a queued job
    PermitKind kind{};
    std::string name;  ///< of a lock, semaphore or key; empty: for jobs
    std::uint64_t permits = 0;
    std::uint64_t capacity = 0;
    std::vector<std::pair<std::string, std::uint64_t>> holders;  ///< owner (empty: unknown) and permits
    std::vector<std::string> jobs;                               ///< owners waited for
    bool any = false;                                            ///< one of the jobs is enough
  };
  /// All that an owner waits for; empty where it goes on.
  using Look = std::function<std::vector<Wait>(const std::string& owner)>;

  struct Circle {
    std::vector<std::string> told;  ///< owners and what they wait for, in turns, ending with the first owner
    std::uint64_t call = 0;         ///< the first call in it that waits
  };
  /// Nothing where there is no circle through or behind `first`.
  [[nodiscard]] static std::optional<Circle> find(const std::string& first, const Look& look);
};

/// `conflict`, for a call that is in this circle.
[[nodiscard]] Error in_a_circle(std::vector<std::string> told);

}  // namespace stint::core
