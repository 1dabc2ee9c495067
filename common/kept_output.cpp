#include "common/kept_output.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/error.hpp"
#include "common/unique_fd.hpp"

namespace stint {
namespace {

/// Where the kept parts lie in the stream: [0, head) and [tail_begin, bytes).
struct Layout {
  std::uint64_t head = 0;
  std::uint64_t tail_begin = 0;
  std::uint64_t bytes = 0;
};

/// What part of [offset, offset + limit) one read can give: it never crosses the gap.
struct Span {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

Span span_of(const Layout& layout, std::uint64_t offset, std::uint64_t limit) {
  if (offset >= layout.head && offset < layout.tail_begin) offset = layout.tail_begin;
  if (offset >= layout.bytes) return {std::max(offset, layout.bytes), 0};
  const std::uint64_t end = offset < layout.head && layout.head < layout.tail_begin ? layout.head : layout.bytes;
  return {offset, std::min(limit, end - offset)};
}

UniqueFd open_part(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file && errno != ENOENT) {
    throw unavailable("cannot read kept output " + path + ": " + std::strerror(errno), "output");
  }
  return file;
}

std::uint64_t size_of(const UniqueFd& file) {
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return 0;
  return static_cast<std::uint64_t>(status.st_size);
}

Error lost(const std::string& path, const std::string& what) {
  return {ErrorKind::purged, "the kept output " + path + " " + what + ": it is lost"};
}

void append_from(std::string& out, const UniqueFd& file, std::uint64_t at, std::uint64_t size, const std::string& path) {
  while (size > 0) {
    const std::size_t had = out.size();
    out.resize(had + size);
    const ssize_t got = ::pread(file.get(), out.data() + had, size, static_cast<off_t>(at));
    out.resize(had + (got > 0 ? static_cast<std::size_t>(got) : 0));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw unavailable("cannot read kept output " + path + ": " + std::strerror(errno), "output");
    if (got == 0) throw lost(path, "is shorter than it was");
    at += static_cast<std::uint64_t>(got);
    size -= static_cast<std::uint64_t>(got);
  }
}

/// What was cut because the disk was full has no tail, and its head is as long as it came to be.
void require_whole(const OutputSize& size, std::uint64_t output_limit, const std::string& head_path) {
  const UniqueFd head = open_part(head_path);
  if (!head) throw lost(head_path, "is gone");
  const std::uint64_t tail = size_of(open_part(output_tail_path(head_path)));
  const std::uint64_t there = size_of(head) + tail;
  const std::uint64_t cut = tail > 0 ? output_limit : std::min<std::uint64_t>(size.bytes, 1);
  const std::uint64_t wanted = size.truncated ? cut : size.bytes;
  if (there < wanted) {
    throw lost(head_path, "has " + std::to_string(there) + " bytes of at least " + std::to_string(wanted) + " that were kept");
  }
}

}  // namespace

std::string output_path(const std::string& out_dir, JobId id, Attempt attempt, StreamName of) {
  return out_dir + '/' + std::to_string(id) + '.' + std::to_string(attempt) + (of == StreamName::out ? ".stdout" : ".stderr");
}

std::string output_tail_path(const std::string& head_path) { return head_path + ".tail"; }

KeptPiece read_kept_files(const std::string& head_path, std::uint64_t bytes, std::uint64_t offset, std::uint64_t limit) {
  const std::string tail_path = output_tail_path(head_path);
  const UniqueFd head = open_part(head_path);
  if (!head) throw lost(head_path, "is gone");
  const UniqueFd tail = open_part(tail_path);
  const std::uint64_t ring = size_of(tail);

  Layout layout;
  layout.bytes = bytes;
  layout.head = std::min(size_of(head), bytes);
  layout.tail_begin = std::max(layout.head, bytes - std::min(bytes, ring));

  const Span span = span_of(layout, offset, limit);
  KeptPiece piece{{}, span.offset, span.offset + span.size};
  std::uint64_t at = span.offset;
  std::uint64_t left = span.size;
  if (left > 0 && at < layout.head) {
    const std::uint64_t part = std::min(left, layout.head - at);
    append_from(piece.bytes, head, at, part, head_path);
    at += part;
    left -= part;
  }
  while (left > 0) {
    // The ring was filled from the end of the head on, so that is where its first byte stands for.
    const std::uint64_t place = (at - layout.head) % ring;
    const std::uint64_t part = std::min(left, ring - place);
    append_from(piece.bytes, tail, place, part, tail_path);
    at += part;
    left -= part;
  }
  return piece;
}

KeptPiece read_kept_bytes(const std::string& kept, std::uint64_t bytes, std::uint64_t output_limit, std::uint64_t offset,
                          std::uint64_t limit) {
  Layout layout;
  layout.bytes = bytes;
  layout.head = kept.size() == bytes ? bytes : std::min<std::uint64_t>(kept.size(), head_bytes_of(output_limit));
  const std::uint64_t tail = kept.size() - layout.head;
  layout.tail_begin = std::max(layout.head, bytes - std::min(bytes, tail));
  const Span span = span_of(layout, offset, limit);
  const std::uint64_t place = span.offset < layout.head ? span.offset : layout.head + (span.offset - layout.tail_begin);
  return {span.size == 0 ? std::string() : kept.substr(place, span.size), span.offset, span.offset + span.size};
}

KeptPiece read_kept(const OutputContent& content, std::uint64_t output_limit, const std::string& head_path, std::uint64_t offset,
                    std::uint64_t limit) {
  if (content.in_file) {
    require_whole(content.size, output_limit, head_path);
    return read_kept_files(head_path, content.size.bytes, offset, limit);
  }
  return read_kept_bytes(content.bytes, content.size.bytes, output_limit, offset, limit);
}

std::optional<std::uint64_t> found_bytes(const std::string& head_path, std::uint64_t noted) {
  struct stat status {};
  if (::stat(head_path.c_str(), &status) != 0) return std::nullopt;
  const auto head = static_cast<std::uint64_t>(status.st_size);
  if (::stat(output_tail_path(head_path).c_str(), &status) != 0) return head;
  // A ring that has come round holds less than has passed through it.
  return std::max(noted, head + static_cast<std::uint64_t>(status.st_size));
}

void remove_kept_files(const std::string& head_path) {
  ::unlink(head_path.c_str());
  ::unlink(output_tail_path(head_path).c_str());
}

}  // namespace stint
