// One output stream of a program: reads its pipe and keeps what the limit allows.
//
// Up to limits::output_inline_bytes_max stays in memory and travels with the result; more goes to files in the state
// directory, and after `write_out` so does a copy of what is in memory, for whoever finds this process dead. Past half of the
// limit the head is complete and a ring keeps the tail (common/kept_output.hpp says how it is read back). Where a file cannot be
// written the pipe is drained on, what cannot be kept is counted, and `truncated` is set. A limit of 0 keeps nothing. Knows no
// event loop; the runner's thread; throws only bad_alloc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/kept_output.hpp"
#include "common/runner_protocol.hpp"
#include "common/unique_fd.hpp"

namespace stint::worker {

class Capture {
 public:
  /// `pipe`: none where the caller reads. `path`: the head file, should one be needed.
  Capture(UniqueFd pipe, std::uint64_t limit, std::string path);

  [[nodiscard]] int fd() const { return pipe_.get(); }
  [[nodiscard]] bool at_end() const { return ended_; }
  /// The pipe's identity in /proc/PID/fd.
  [[nodiscard]] ino_t inode() const;

  enum class Drain : std::uint8_t { empty, more, end };
  /// Takes what the pipe holds, a bounded amount a call. At the end the caller must `close`, once nobody watches it.
  Drain drain();
  /// Takes bytes that the caller has read itself: then there is no pipe.
  void keep(std::string_view bytes);
  /// No more is read; what was read is the stream.
  void close() {
    ended_ = true;
    pipe_.reset();
  }

  /// From now on what is kept lies in files, too; where that fails, it stays in memory alone.
  void write_out();
  [[nodiscard]] bool on_disk() const { return in_files_ || copied_; }
  /// Takes away what `write_out` wrote: the result travels without it.
  void remove_copy();

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool truncated() const { return broken_ || bytes_ > limit_; }
  [[nodiscard]] KeptPiece read(std::uint64_t offset, std::uint64_t limit) const;
  /// What goes with the result. The stream must have been closed.
  [[nodiscard]] KeptStream take_result();

 private:
  void keep_in_memory(std::string_view bytes);
  bool spill();
  bool write_memory();
  /// `bytes` are the stream's next.
  bool write_on(std::string_view bytes);
  bool write_tail(std::string_view bytes, std::uint64_t at);
  void give_up();
  [[nodiscard]] std::string kept_in_memory() const;

  UniqueFd pipe_;
  std::uint64_t limit_;
  std::uint64_t head_max_;
  std::uint64_t tail_max_;
  std::string path_;
  std::uint64_t bytes_ = 0;
  std::string head_;  // up to head_max_, then the rest of the stream's first bytes in ring_
  std::string ring_;  // position p holds the stream's byte head_max_ + p, modulo tail_max_
  UniqueFd head_file_;
  UniqueFd tail_file_;
  bool in_files_ = false;
  bool copying_ = false;  // what is in memory is to be in the files as well
  bool copied_ = false;   // it is
  bool ended_ = false;
  bool broken_ = false;  // writing failed: nothing more is kept
};

/// Moves what would travel with a result into files, as if it had been too much for memory: for whoever reads it when this
/// process has ended. False where they cannot be written: then all is as it was.
[[nodiscard]] bool spill(KeptStream& kept, std::uint64_t output_limit, const std::string& head_path);

}  // namespace stint::worker
