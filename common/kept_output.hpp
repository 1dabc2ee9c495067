// Reads what is kept of a program's output: all of it, or its head and its tail where it was longer than its limit.
//
// Offsets are those of the whole stream: the head is [0, h), the tail [bytes - t, bytes), what lies between was not
// kept and is skipped. On disk the head is out/ID.ATTEMPT.STREAM and the tail a ring in the same name with `.tail`; in
// memory both stand in one string, and the head is at most half of the output limit. Any thread; throws Error
// `purged` where a file is gone or holds less than it did, and `unavailable` where it cannot be read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/job.hpp"

namespace stint {

struct KeptPiece {
  std::string bytes;
  std::uint64_t offset = 0;  ///< of the first byte; above the one asked for where the middle was not kept
  std::uint64_t next = 0;    ///< where to go on reading
};

/// STATE/out/ID.ATTEMPT.STREAM. `out_dir` is STATE/out.
[[nodiscard]] std::string output_path(const std::string& out_dir, JobId id, Attempt attempt, StreamName of);
[[nodiscard]] std::string output_tail_path(const std::string& head_path);

/// How many bytes of a limit the head takes where not everything can be kept; the tail takes the rest.
[[nodiscard]] constexpr std::uint64_t head_bytes_of(std::uint64_t output_limit) { return output_limit / 2; }

/// At most `limit` bytes at `offset` of a stream of `bytes` bytes that is kept in files.
[[nodiscard]] KeptPiece read_kept_files(const std::string& head_path, std::uint64_t bytes, std::uint64_t offset,
                                        std::uint64_t limit);
/// The same for what is kept in memory: `kept` is the head followed by the tail.
[[nodiscard]] KeptPiece read_kept_bytes(const std::string& kept, std::uint64_t bytes, std::uint64_t output_limit,
                                        std::uint64_t offset, std::uint64_t limit);
/// A finished job's stream, wherever it is kept. Files that hold less than was recorded are refused, not read as far as they go.
[[nodiscard]] KeptPiece read_kept(const OutputContent& content, std::uint64_t output_limit, const std::string& head_path,
                                  std::uint64_t offset, std::uint64_t limit);

/// How many bytes a stream had for certain whose runner died while it wrote, having noted `noted` last; nothing where no
/// file is there. What is in the files is what there is: a machine that stopped may have lost the end of them.
[[nodiscard]] std::optional<std::uint64_t> found_bytes(const std::string& head_path, std::uint64_t noted);

/// Removes the files of one stream, if there are any.
void remove_kept_files(const std::string& head_path);

}  // namespace stint
