// A progress bar on a terminal's standard error; silent everywhere else.
//
// Drawn at most ten times a second. `hide` takes it away before output is written, the next `tick` draws it again.
// Never throws: what cannot be drawn is not.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace stint::cli {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Progress(bool wanted);
  ~Progress() { hide(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  struct Figures {
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
    std::uint64_t total = 0;
    bool total_known = false;  ///< false while items still arrive
  };
  void set(const Figures& figures) { figures_ = figures; }

  /// Draws where a drawing is due.
  void tick();
  /// Milliseconds until one is due; -1 where none ever is.
  [[nodiscard]] int due_ms() const;
  void hide();

  [[nodiscard]] bool active() const { return active_; }

 private:
  [[nodiscard]] std::string text(std::size_t width) const;

  bool active_;
  bool shown_ = false;
  Figures figures_;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point next_ = Clock::now();
};

}  // namespace stint::cli
