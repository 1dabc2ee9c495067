// What a runner has begun and ended, in a file that survives it: fixed, versioned 128-byte records.
//
// `begun` is written before the program exists, `ended` before its end is reported, each by one pwrite. The file must
// survive processes, not power, so nothing is synced. SlotFile is the runner's end, `read_slots` everybody else's; a
// record that is torn, of another version or free is skipped. Returns errors by errno text in Error `unavailable`.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/job.hpp"
#include "common/unique_fd.hpp"

namespace stint {

enum class SlotState : std::uint16_t { free = 0, begun = 1, ended = 2 };

struct SlotRecord {
  static constexpr std::uint32_t magic_value = 0x4c535453;  // "STSL"
  static constexpr std::uint16_t version_value = 1;

  std::uint32_t magic = magic_value;
  std::uint16_t version = version_value;
  SlotState state = SlotState::free;
  std::array<char, 16> boot_id{};
  std::uint64_t job = 0;
  std::uint32_t attempt = 0;
  std::int32_t pid = 0;           ///< 0 until the program exists
  std::uint64_t start_ticks = 0;  ///< since boot, when it was started; field 22 of /proc/PID/stat is this or a little more
  std::int32_t status = 0;        ///< as waitpid gives it
  std::uint32_t flags = 0;        ///< see below
  std::uint64_t user_us = 0;
  std::uint64_t system_us = 0;
  std::uint64_t max_rss = 0;
  std::uint64_t stdout_bytes = 0;  ///< of a run that goes on: what lies in files of it
  std::uint64_t stderr_bytes = 0;
  std::int64_t finished_at_us = 0;
  std::int64_t started_at_us = 0;  ///< of an ended run; 0 where it was not started
  std::array<std::uint64_t, 2> reserved{};

  static constexpr std::uint32_t timed_out = 1, stopped = 2;
  static constexpr std::uint32_t not_started = 4;  ///< `status` is 126 or 127 then
  // Of standard output; those of standard error are the same, shifted by `of_stderr`.
  static constexpr std::uint32_t captured = 8, truncated = 16, in_file = 32;
  static constexpr std::uint32_t of_stderr = 3;
};
static_assert(sizeof(SlotRecord) == 128);

/// The running kernel's boot id, 16 bytes; zeros where /proc has none. Throws Error `unavailable` where it cannot be read.
[[nodiscard]] std::array<char, 16> boot_id();
/// Clock ticks since boot.
[[nodiscard]] std::uint64_t ticks_since_boot();

class SlotFile {
 public:
  /// Creates `path` anew. Throws Error `unavailable`.
  explicit SlotFile(const std::string& path);

  /// A slot whose room on the disk is certain: nothing begins that could not be noted. Nothing where there is no room.
  [[nodiscard]] std::optional<std::size_t> take();
  void give_back(std::size_t slot) { free_.push_back(slot); }
  /// False where the disk has no room or fails.
  [[nodiscard]] bool write(std::size_t slot, const SlotRecord& record);
  /// What was written last; a free record where it cannot be read.
  [[nodiscard]] SlotRecord read(std::size_t slot) const;

 private:
  UniqueFd file_;
  std::vector<std::size_t> free_;
  std::size_t count_ = 0;
  std::size_t allocated_ = 0;
};

/// The records in use; empty where the file does not exist. Throws Error `unavailable` where it cannot be read: what it names
/// has been started, and must not be again.
[[nodiscard]] std::vector<SlotRecord> read_slots(const std::string& path);

}  // namespace stint
