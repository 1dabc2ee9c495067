// The store's thread as its loop sees it: something that records facts and answers questions, a batch at a time.
//
// All calls on the store's thread but the constructor's. What must not be said before a commit is put into an BatchOutcome,
// which the loop takes to the I/O thread. Implementations throw nothing: a store that fails says so in the BatchOutcome.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "daemon/db/catalogue.hpp"

namespace stint::db {

/// Looks things up on the store's thread and returns what is to be called on the I/O thread. May be asked twice, where a
/// commit has to be done again.
using Question = std::function<std::function<void()>(const Catalogue&)>;
using Operation = std::variant<core::Persist, Question>;

/// What a batch came to: told in this order.
struct BatchOutcome {
  std::optional<CommitResult> commit;
  std::vector<std::function<void()>> answers;
  std::optional<std::string> failure;  ///< the reason; the last that is ever told

  [[nodiscard]] bool empty() const { return !commit && answers.empty() && !failure; }
};

class Keeper {
 public:
  virtual ~Keeper() = default;

  /// Works the operations off in their order. What is left in the list could not be recorded yet: it is handed in again,
  /// with what has come meanwhile behind it, at the latest after retry_pause().
  virtual void work(std::vector<Operation>& operations, BatchOutcome& outcome) = 0;
  /// After a batch was told. `busy`: the next one waits already.
  virtual void tidy(bool busy, BatchOutcome& outcome) = 0;
  /// Nothing comes any more.
  virtual void close() = 0;

  [[nodiscard]] virtual std::chrono::milliseconds retry_pause() const { return std::chrono::milliseconds(100); }
  /// How long a batch gathers before it is taken: for tests of a slow store.
  [[nodiscard]] virtual std::chrono::microseconds slowness() { return std::chrono::microseconds(0); }
};

}  // namespace stint::db
