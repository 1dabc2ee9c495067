// Bytes of a stream socket become lines: LF ends one, a CR before it is dropped, empty lines are skipped.
//
// A value with no I/O: the session appends what it read and takes lines out. The buffer keeps enough spare bytes
// behind every line for the JSON parser to read past its end (json::padding_bytes). Throws nothing but bad_alloc.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace stint {

class LineSplitter {
 public:
  explicit LineSplitter(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

  /// Room for at least `bytes` more; write into it, then `commit` what was read. Lines taken before are invalid then.
  [[nodiscard]] std::span<char> prepare(std::size_t bytes);
  void commit(std::size_t bytes) { end_ += bytes; }

  /// The next whole line without its end, valid until the next `prepare`; nothing where none is complete.
  [[nodiscard]] std::optional<std::string_view> next_line();

  /// What is left when the peer has ended its side: a last line without LF.
  [[nodiscard]] std::optional<std::string_view> rest();

  /// True when the unfinished line is already longer than allowed: the bytes can no longer be understood.
  [[nodiscard]] bool overlong() const { return overlong_; }

  /// Bytes held that no line has taken yet.
  [[nodiscard]] std::size_t pending_bytes() const { return end_ - begin_; }

  /// Gives the memory of a large line back once nothing is pending.
  void shrink();

 private:
  [[nodiscard]] std::optional<std::string_view> trimmed(std::size_t from, std::size_t to) const;

  std::size_t line_bytes_max_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;    // first byte of the line that is being read
  std::size_t scanned_ = 0;  // no LF in [begin_, scanned_)
  std::size_t end_ = 0;
  bool overlong_ = false;
};

}  // namespace stint
