// One request on its way to its answer, and the handle by which somebody answers it later.
//
// A Ticket may be copied, kept and answered at any time on the I/O thread: where the conversation has ended, or the call
// has been answered, it does nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.hpp"

namespace stint::api {

class Conversation;

/// The requests of one line that was an array: answered by one line when all of them are.
struct Batch {
  std::vector<std::string> answers;  ///< in the order asked; empty for notifications
  std::size_t open = 0;              ///< not answered yet
};

/// What an answer needs to know of its request.
struct CallHead {
  std::string id = "null";  ///< as JSON
  bool muted = false;       ///< a notification: never answered
  std::shared_ptr<Batch> batch;
  std::size_t place = 0;  ///< in the batch
};

/// What a call counts as while it is unanswered.
enum class Flavor : std::uint8_t { plain, waiting };

/// Told whether an answer was handed to the kernel; false where nobody is there to take it.
using Receipt = std::function<void(bool handed_over)>;

class Ticket {
 public:
  Ticket() = default;
  Ticket(std::weak_ptr<Conversation> conversation, std::uint32_t slot, std::uint32_t generation)
      : conversation_(std::move(conversation)), slot_(slot), generation_(generation) {}

  /// Answers with encoded JSON.
  void result(std::string_view json) const;
  /// The same, and `receipt` is called once when the answer has left, or cannot any more.
  void result(std::string_view json, Receipt receipt) const;
  void error(const Error& error) const;
  /// The conversation while the call is unanswered, else null.
  [[nodiscard]] std::shared_ptr<Conversation> open() const;

  [[nodiscard]] std::uint32_t slot() const { return slot_; }
  [[nodiscard]] std::uint32_t generation() const { return generation_; }

 private:
  std::weak_ptr<Conversation> conversation_;
  std::uint32_t slot_ = 0;
  std::uint32_t generation_ = 0;
};

}  // namespace stint::api
