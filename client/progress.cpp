#include "client/progress.hpp"

#include <unistd.h>

#include <algorithm>

#include "client/render.hpp"
#include "client/terminal.hpp"

namespace stint::cli {
namespace {

constexpr std::chrono::milliseconds step{100};
constexpr std::size_t bar_width_max = 40;
constexpr std::size_t bar_width_min = 10;

void write_error(const std::string& text) {
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

Progress::Progress(bool wanted) : active_(wanted && takes_escapes(STDERR_FILENO)) {}

void Progress::tick() {
  const auto now = Clock::now();
  if (!active_ || now < next_) return;
  next_ = now + step;
  const std::size_t width = columns(STDERR_FILENO);
  write_error("\r" + shortened(text(width), width > 1 ? width - 1 : 1) + "\x1b[K");
  shown_ = true;
}

int Progress::due_ms() const {
  if (!active_) return -1;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(next_ - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count() + 1, 0, step.count()));
}

void Progress::hide() {
  if (!shown_) return;
  write_error("\r\x1b[K");
  shown_ = false;
  next_ = Clock::now();
}

std::string Progress::text(std::size_t width) const {
  const double elapsed = std::chrono::duration<double>(Clock::now() - begin_).count();
  const double rate = elapsed > 0 ? static_cast<double>(figures_.done) / elapsed : 0;
  std::string tail =
      " " + std::to_string(figures_.done) + "/" + std::to_string(figures_.total) + (figures_.total_known ? "" : "+");
  if (figures_.failed > 0) tail += ", " + std::to_string(figures_.failed) + " failed";
  tail += ", " + duration_text(elapsed);
  if (!figures_.total_known || figures_.total == 0) return "…" + tail;
  if (rate > 0 && figures_.done < figures_.total) {
    tail += ", " + duration_text(static_cast<double>(figures_.total - figures_.done) / rate) + " left";
  }
  const std::size_t room = width > tail.size() + 3 ? width - tail.size() - 3 : 0;
  if (room < bar_width_min) return tail.substr(1);
  const std::size_t bar = std::min(room, bar_width_max);
  const auto full = static_cast<std::size_t>(static_cast<double>(figures_.done) / static_cast<double>(figures_.total) *
                                             static_cast<double>(bar));
  return "[" + std::string(full, '#') + std::string(bar - full, '.') + "]" + tail;
}

}  // namespace stint::cli
