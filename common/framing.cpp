#include "common/framing.hpp"

#include <algorithm>
#include <cstring>

#include "common/json.hpp"

namespace stint {
namespace {
constexpr std::size_t keep_bytes = 64U << 10U;
}

std::span<char> LineSplitter::prepare(std::size_t bytes) {
  if (begin_ == end_) begin_ = scanned_ = end_ = 0;
  if (end_ + bytes > capacity_) {
    const std::size_t held = end_ - begin_;
    if (held + bytes <= capacity_) {
      std::memmove(buffer_.get(), buffer_.get() + begin_, held);
    } else {
      const std::size_t capacity = std::max(held + bytes, std::min(capacity_ * 2, line_bytes_max_ + bytes));
      std::unique_ptr<char[]> grown(new char[capacity + json::padding_bytes]);
      if (held > 0) std::memcpy(grown.get(), buffer_.get() + begin_, held);
      std::memset(grown.get() + held, 0, capacity + json::padding_bytes - held);
      buffer_ = std::move(grown);
      capacity_ = capacity;
    }
    scanned_ -= begin_;
    end_ = held;
    begin_ = 0;
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

std::optional<std::string_view> LineSplitter::trimmed(std::size_t from, std::size_t to) const {
  if (to > from && buffer_[to - 1] == '\r') --to;
  if (to == from) return std::nullopt;
  return std::string_view(buffer_.get() + from, to - from);
}

std::optional<std::string_view> LineSplitter::next_line() {
  while (scanned_ < end_) {
    const void* hit = std::memchr(buffer_.get() + scanned_, '\n', end_ - scanned_);
    if (hit == nullptr) {
      scanned_ = end_;
      break;
    }
    const auto at = static_cast<std::size_t>(static_cast<const char*>(hit) - buffer_.get());
    const std::size_t from = begin_;
    begin_ = scanned_ = at + 1;
    if (at - from > line_bytes_max_) {
      overlong_ = true;
      return std::nullopt;
    }
    if (auto line = trimmed(from, at)) return line;
  }
  if (end_ - begin_ > line_bytes_max_) overlong_ = true;
  return std::nullopt;
}

std::optional<std::string_view> LineSplitter::rest() {
  const std::size_t from = begin_;
  begin_ = scanned_ = end_;
  return from == end_ ? std::nullopt : trimmed(from, end_);
}

void LineSplitter::shrink() {
  if (capacity_ > keep_bytes && begin_ == end_) {
    buffer_.reset();
    capacity_ = begin_ = scanned_ = end_ = 0;
  }
}

}  // namespace stint
