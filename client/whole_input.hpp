// Reading descriptors by hand: all of one up to a bound, or line by line.
//
// Blocking; main thread. Throws Failure 65 past a bound, 125 where the descriptor cannot be read.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace stint::cli {

[[nodiscard]] std::string read_whole(int fd, std::size_t bytes_max);

class LineReader {
 public:
  LineReader(int fd, std::size_t line_bytes_max) : fd_(fd), line_bytes_max_(line_bytes_max) {}
  /// The next line without its LF; nothing at the end.
  [[nodiscard]] std::optional<std::string> next();

 private:
  int fd_;
  std::size_t line_bytes_max_;
  std::string buffer_;
  std::size_t begin_ = 0;
  bool ended_ = false;
};

}  // namespace stint::cli
