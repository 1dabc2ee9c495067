#include "client/terminal.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "client/failure.hpp"
#include "common/json.hpp"

namespace stint::cli {
namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

void append_hex(std::string& out, unsigned char byte) {
  constexpr std::string_view digits = "0123456789abcdef";
  out += "\\x";
  out += digits[byte >> 4U];
  out += digits[byte & 15U];
}

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

bool takes_escapes(int fd) {
  if (!is_terminal(fd)) return false;
  const char* term = std::getenv("TERM");
  return term != nullptr && *term != '\0' && std::strcmp(term, "dumb") != 0;
}

bool takes_colour(int fd) {
  const char* forbidden = std::getenv("NO_COLOR");
  return (forbidden == nullptr || *forbidden == '\0') && takes_escapes(fd);
}

std::size_t columns(int fd) {
  if (const char* text = std::getenv("COLUMNS"); text != nullptr) {
    std::size_t width = 0;
    const char* end = text + std::strlen(text);
    if (const auto [at, error] = std::from_chars(text, end, width); error == std::errc{} && at == end && width > 0) return width;
  }
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  constexpr std::size_t usual = 80;
  return usual;
}

std::string printable(std::string_view text) {
  const std::string valid = json::to_utf8(text);
  std::string out;
  out.reserve(valid.size());
  for (std::size_t i = 0; i < valid.size(); ++i) {
    const auto byte = static_cast<unsigned char>(valid[i]);
    // U+0080 … U+009F are control characters too: CSI is one of them.
    const bool c1 = byte == 0xC2U && i + 1 < valid.size() && static_cast<unsigned char>(valid[i + 1]) < 0xA0U;
    if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else if (byte == '\\') {
      out += "\\\\";
    } else if (c1) {
      append_hex(out, static_cast<unsigned char>(valid[++i]));
    } else if (byte < 0x20U || byte == 0x7FU) {
      append_hex(out, byte);
    } else {
      out += valid[i];
    }
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (const char byte : text) width += is_continuation(byte) ? 0U : 1U;
  return width;
}

std::string shortened(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::size_t seen = 0;
  std::size_t end = 0;
  while (end < text.size() && (is_continuation(text[end]) || seen < width - 1)) {
    if (!is_continuation(text[end])) ++seen;
    ++end;
  }
  return std::string(text.substr(0, end)) + "…";
}

Written write_all(int fd, std::string_view bytes, const std::function<void()>& on_interrupt) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(wrote));
      continue;
    }
    if (errno == EINTR) {
      if (on_interrupt) on_interrupt();
    } else if (errno == EAGAIN) {
      pollfd writable{fd, POLLOUT, 0};
      if (::poll(&writable, 1, -1) < 0 && on_interrupt) on_interrupt();
    } else if (errno == EPIPE) {
      return Written::reader_gone;
    } else {
      throw Failure(exit_code::not_finished, std::string("cannot write to ") +
                                                 (fd == STDOUT_FILENO ? "standard output: " : "standard error: ") +
                                                 std::strerror(errno));
    }
  }
  return Written::all;
}

void print(std::string_view text) {
  if (write_all(STDOUT_FILENO, text) == Written::reader_gone) {
    throw Failure(exit_code::signalled + SIGPIPE, "the reader of standard output has gone");
  }
}

void note(std::string_view text) {
  std::string line = "stint: ";
  line += text;
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t wrote = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (wrote < 0 && errno != EINTR) return;
    if (wrote > 0) rest.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

}  // namespace stint::cli
