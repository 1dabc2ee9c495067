// SIGINT and SIGTERM as things to be read: a verb that waits polls `fd` beside its socket.
//
// While an object lives the two signals do not end the process, SIGPIPE is ignored, and blocking calls return EINTR
// (no SA_RESTART). A signal that was ignored when the CLI started (nohup, a background job of a script) stays ignored.
// One object at a time, main thread.
#pragma once

#include <array>
#include <chrono>
#include <csignal>
#include <optional>

#include "common/unique_fd.hpp"

namespace stint::cli {

class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  /// Readable while a signal is waiting to be taken.
  [[nodiscard]] int fd() const { return read_.get(); }
  /// The next signal that has arrived, if any.
  [[nodiscard]] std::optional<int> take();

  /// Counts a SIGINT; true where it is the second within a second.
  [[nodiscard]] bool is_second();

 private:
  using Clock = std::chrono::steady_clock;
  UniqueFd read_;
  UniqueFd write_;
  struct sigaction old_int_ {};
  struct sigaction old_term_ {};
  struct sigaction old_pipe_ {};
  std::optional<Clock::time_point> last_;
};

}  // namespace stint::cli
