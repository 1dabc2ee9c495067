#include "daemon/worker/capture.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "common/error.hpp"
#include "common/limits.hpp"

namespace stint::worker {
namespace {

constexpr std::size_t read_bytes = 64U << 10U;  // what a pipe holds by default
constexpr int reads_a_turn = 8;

bool write_all(int fd, std::string_view bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += static_cast<std::uint64_t>(put);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

/// Writes into a ring of `capacity` bytes by `put(place, bytes)`; stops where that fails.
template <class Put>
bool write_ring(std::string_view bytes, std::uint64_t at, std::uint64_t capacity, const Put& put) {
  if (bytes.size() > capacity) {
    at += bytes.size() - capacity;
    bytes.remove_prefix(bytes.size() - capacity);
  }
  while (!bytes.empty()) {
    const std::uint64_t place = at % capacity;
    const std::size_t part = std::min<std::uint64_t>(bytes.size(), capacity - place);
    if (!put(place, bytes.substr(0, part))) return false;
    at += part;
    bytes.remove_prefix(part);
  }
  return true;
}

UniqueFd create_file(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
}

}  // namespace

Capture::Capture(UniqueFd pipe, std::uint64_t limit, std::string path)
    : pipe_(std::move(pipe)),
      limit_(limit),
      head_max_(head_bytes_of(limit)),
      tail_max_(limit - head_bytes_of(limit)),
      path_(std::move(path)) {}

ino_t Capture::inode() const {
  struct stat status {};
  return pipe_ && ::fstat(pipe_.get(), &status) == 0 ? status.st_ino : 0;
}

Capture::Drain Capture::drain() {
  static std::array<char, read_bytes> buffer;
  for (int i = 0; i < reads_a_turn && !ended_; ++i) {
    const ssize_t got = ::read(pipe_.get(), buffer.data(), buffer.size());
    if (got > 0) {
      keep({buffer.data(), static_cast<std::size_t>(got)});
    } else if (got < 0 && errno == EAGAIN) {
      return Drain::empty;
    } else if (got == 0 || errno != EINTR) {
      ended_ = true;
    }
  }
  return ended_ ? Drain::end : Drain::more;
}

void Capture::keep(std::string_view bytes) {
  const bool fits_in_memory = std::min(bytes_ + bytes.size(), limit_) <= limits::output_inline_bytes_max;
  if (limit_ != 0 && !broken_) {
    if (!in_files_ && !fits_in_memory && !spill()) give_up();
    if (in_files_) {
      if (!write_on(bytes)) give_up();
    } else if (!broken_) {
      keep_in_memory(bytes);
      if (copied_ && !write_on(bytes)) remove_copy();
    }
  }
  bytes_ += bytes.size();
  if (copying_ && !on_disk()) write_out();
}

void Capture::write_out() {
  copying_ = true;
  if (on_disk() || broken_ || bytes_ == 0 || limit_ == 0) return;
  copied_ = true;
  if (!write_memory()) remove_copy();
}

void Capture::remove_copy() {
  if (!std::exchange(copied_, false)) return;
  copying_ = false;
  head_file_.reset();
  tail_file_.reset();
  remove_kept_files(path_);
}

void Capture::keep_in_memory(std::string_view bytes) {
  const std::size_t to_head = std::min<std::uint64_t>(bytes.size(), head_max_ - head_.size());
  head_ += bytes.substr(0, to_head);
  bytes.remove_prefix(to_head);
  if (bytes.empty()) return;
  const std::uint64_t at = bytes_ + to_head - head_max_;
  ring_.resize(std::max<std::uint64_t>(ring_.size(), std::min(tail_max_, at + bytes.size())));
  write_ring(bytes, at, tail_max_, [this](std::uint64_t place, std::string_view part) {
    std::copy(part.begin(), part.end(), ring_.begin() + static_cast<std::ptrdiff_t>(place));
    return true;
  });
}

bool Capture::spill() {
  if (!copied_ && !write_memory()) return false;
  copied_ = false;
  in_files_ = true;
  head_ = {};
  ring_ = {};
  return true;
}

bool Capture::write_memory() {
  head_file_ = create_file(path_);
  // A position has the same place in the ring in memory and in the one on disk.
  return head_file_ && write_all(head_file_.get(), head_, 0) && (ring_.empty() || write_tail(ring_, 0));
}

bool Capture::write_on(std::string_view bytes) {
  const std::size_t to_head = bytes_ >= head_max_ ? 0 : std::min<std::uint64_t>(bytes.size(), head_max_ - bytes_);
  if (to_head > 0 && !write_all(head_file_.get(), bytes.substr(0, to_head), bytes_)) return false;
  bytes.remove_prefix(to_head);
  return bytes.empty() || write_tail(bytes, bytes_ + to_head - head_max_);
}

bool Capture::write_tail(std::string_view bytes, std::uint64_t at) {
  if (!tail_file_) tail_file_ = create_file(output_tail_path(path_));
  return tail_file_ && write_ring(bytes, at, tail_max_, [this](std::uint64_t place, std::string_view part) {
           return write_all(tail_file_.get(), part, place);
         });
}

void Capture::give_up() {
  // What a ring held is no longer the end of the stream, so it would be read at the wrong place.
  broken_ = true;
  tail_file_.reset();
  ::unlink(output_tail_path(path_).c_str());
  if (in_files_) return;
  head_file_.reset();
  ::unlink(path_.c_str());
  ring_ = {};
}

std::string Capture::kept_in_memory() const {
  if (ring_.empty()) return head_;
  const std::uint64_t written = bytes_ - head_max_;
  const std::uint64_t turn = written > ring_.size() ? written % ring_.size() : 0;
  return head_ + ring_.substr(turn) + ring_.substr(0, turn);
}

KeptPiece Capture::read(std::uint64_t offset, std::uint64_t limit) const {
  if (!in_files_) return read_kept_bytes(kept_in_memory(), bytes_, limit_, offset, limit);
  try {
    return read_kept_files(path_, bytes_, offset, limit);
  } catch (const Error&) {
    return {{}, bytes_, bytes_};  // the files were taken away: nothing is kept
  }
}

KeptStream Capture::take_result() {
  KeptStream kept;
  kept.bytes = bytes_;
  kept.truncated = truncated();
  kept.in_file = in_files_;
  if (!in_files_) kept.content = kept_in_memory();
  head_file_.reset();
  tail_file_.reset();
  return kept;
}

bool spill(KeptStream& kept, std::uint64_t output_limit, const std::string& head_path) {
  if (kept.content.empty()) return true;
  const std::string_view content = kept.content;
  const bool whole = content.size() == kept.bytes;
  const std::string_view head = content.substr(0, whole ? content.size() : head_bytes_of(output_limit));
  const std::string_view tail = content.substr(head.size());
  const std::string tail_path = output_tail_path(head_path);
  const UniqueFd head_file = create_file(head_path);
  bool written = head_file && write_all(head_file.get(), head, 0);
  if (written && !tail.empty()) {
    const UniqueFd tail_file = create_file(tail_path);
    written = tail_file &&
              write_ring(tail, kept.bytes - tail.size() - head.size(), tail.size(),
                         [&](std::uint64_t place, std::string_view part) { return write_all(tail_file.get(), part, place); });
  }
  if (!written) {
    remove_kept_files(head_path);
    return false;
  }
  kept.in_file = true;
  kept.content = {};
  return true;
}

}  // namespace stint::worker
