// What waits to be sent on one connection: many lines are gathered while one piece is on its way.
//
// Two strings that change places: lines are appended to one while the other is sent. A value; no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stint::api {

class Outbox {
 public:
  /// Whole lines are appended here.
  [[nodiscard]] std::string& text() { return text_; }
  /// What was appended last belongs to an answer: the send timeout runs until it has left.
  void mark_answer() { answers_end_ = appended(); }

  /// Bytes ever appended, and how many of them have left.
  [[nodiscard]] std::uint64_t appended() const { return taken_ + text_.size(); }
  [[nodiscard]] std::uint64_t left() const { return taken_ - (sending_.size() - sent_); }

  [[nodiscard]] std::size_t unsent() const { return sending_.size() - sent_ + text_.size(); }
  [[nodiscard]] bool empty() const { return unsent() == 0; }
  [[nodiscard]] bool answer_unsent() const { return answers_end_ > left(); }

  /// The next bytes to send; valid until `sent`.
  [[nodiscard]] std::string_view next() {
    if (sent_ == sending_.size()) {
      sending_.clear();
      sent_ = 0;
      sending_.swap(text_);
      taken_ += sending_.size();
    }
    return std::string_view(sending_).substr(sent_);
  }
  void sent(std::size_t bytes) {
    sent_ += bytes;
    if (sent_ < sending_.size()) return;
    sending_.clear();
    sent_ = 0;
    if (sending_.capacity() > keep_bytes) sending_.shrink_to_fit();
  }
  void clear() { *this = Outbox(); }

 private:
  static constexpr std::size_t keep_bytes = 64U << 10U;

  std::string text_;
  std::string sending_;
  std::size_t sent_ = 0;           // of sending_
  std::uint64_t taken_ = 0;        // bytes ever moved to sending_
  std::uint64_t answers_end_ = 0;  // position after the newest answer, in bytes ever appended
};

}  // namespace stint::api
