// The newest progress of one run: set by the thread that runs it, taken by the thread that passes it on.
//
// However often a task reports, only the newest report is kept, and its setter is told to wake the taker only when the
// taker is not going to look again by itself: so a task that reports in a tight loop costs nobody else anything.
#pragma once

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "common/limits.hpp"

namespace stint {

/// A taker looks again this long after it has passed a report on.
inline constexpr auto progress_interval = std::chrono::milliseconds(20);

class ProgressCell {
 public:
  struct Report {
    double value = 0;
    std::string text;
  };

  /// Any thread. True where the taker must be woken. A value outside 0 … 1 is taken for the nearer end; text past
  /// limits::progress_text_bytes_max is cut.
  [[nodiscard]] bool set(double value, std::string text) {
    if (text.size() > limits::progress_text_bytes_max) {
      std::size_t end = limits::progress_text_bytes_max;
      while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
      text.resize(end);
    }
    const std::lock_guard lock(mutex_);
    newest_ = Report{value > 0 ? std::min(value, 1.0) : 0.0, std::move(text)};
    return !std::exchange(watched_, true);
  }

  /// The newest report; nothing where there was none since the last one: the next `set` asks to be woken for again.
  [[nodiscard]] std::optional<Report> take() {
    const std::lock_guard lock(mutex_);
    watched_ = newest_.has_value();
    return std::exchange(newest_, std::nullopt);
  }

 private:
  std::mutex mutex_;
  std::optional<Report> newest_;
  bool watched_ = false;  // the taker knows that there is something, or will look again
};

}  // namespace stint
