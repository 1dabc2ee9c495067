#include "client/whole_input.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "client/failure.hpp"

namespace stint::cli {
namespace {

constexpr std::size_t read_bytes = 64U << 10U;

/// Appends what one read gives; false at the end.
bool read_more(int fd, std::string& out) {
  std::array<char, read_bytes> buffer{};
  ssize_t got = -1;
  do {
    got = ::read(fd, buffer.data(), buffer.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) throw Failure(exit_code::not_finished, std::string("cannot read the input: ") + std::strerror(errno));
  out.append(buffer.data(), static_cast<std::size_t>(got));
  return got > 0;
}

}  // namespace

std::string read_whole(int fd, std::size_t bytes_max) {
  std::string text;
  while (read_more(fd, text)) {
    if (text.size() > bytes_max) {
      throw Failure(exit_code::bad_job, "the input is larger than " + std::to_string(bytes_max) + " bytes; use --stdin-file");
    }
  }
  return text;
}

std::optional<std::string> LineReader::next() {
  while (true) {
    const auto end = buffer_.find('\n', begin_);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(begin_, end - begin_);
      begin_ = end + 1;
      return line;
    }
    buffer_.erase(0, begin_);
    begin_ = 0;
    if (buffer_.size() > line_bytes_max_) {
      throw Failure(exit_code::bad_job, "a line is longer than " + std::to_string(line_bytes_max_) + " bytes");
    }
    if (ended_) {
      if (buffer_.empty()) return std::nullopt;
      return std::exchange(buffer_, {});
    }
    ended_ = !read_more(fd_, buffer_);
  }
}

}  // namespace stint::cli
