// The file system under the store: whether it can be trusted, and a reserve of space on it.
//
// One thread at a time. Throws Error `unavailable` where the constructor or a function says so; running out of room is an
// answer here, not an error.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stint::db {

/// The name of a network file system by its magic number (statfs(2)) or its type in /proc/self/mountinfo; nothing for
/// one of this machine.
[[nodiscard]] std::optional<std::string_view> network_file_system(std::int64_t magic, std::string_view mount_type);

/// Throws where `folder` lies on a network file system: locks and syncs do not hold there what the store promises.
void refuse_network_file_system(const std::string& folder);

/// The size of the file system that holds the file `path`, as far as it may be used; nothing where it has no bound or does not
/// say.
[[nodiscard]] std::optional<std::uint64_t> file_system_bytes(const std::string& path);

/// What the store takes for itself is at most an eighth of its file system, but at least this where more is wanted.
inline constexpr std::uint64_t reserve_bytes_min = 256U << 10U;
/// So much of `wanted` on a file system of that size.
[[nodiscard]] constexpr std::uint64_t share_of(std::optional<std::uint64_t> file_system, std::uint64_t wanted) {
  return file_system ? std::min(wanted, std::max(reserve_bytes_min, *file_system / 8)) : wanted;
}

/// A file of a fixed size that is there to be removed: what must be recorded on a full disk takes its room.
class Ballast {
 public:
  /// No bytes or no path: there is always room.
  Ballast(std::string path, std::uint64_t bytes) : path_(std::move(path)), bytes_(bytes) {}

  /// Throws where something else has its name, which would look like a full disk for ever.
  void require_own_name() const;
  /// Makes it where it is not there and there is room for twice as much, so that it does not take what was just freed.
  /// After a failure the disk is asked again after a pause. True where it is there.
  [[nodiscard]] bool ensure();
  /// What must be free for it to be made; 0 where it is there.
  [[nodiscard]] std::uint64_t room_wanted() const { return there_ ? 0 : 2 * bytes_; }
  /// Gives its room back; false where it was not there.
  [[nodiscard]] bool release();

 private:
  [[nodiscard]] bool make() const;

  const std::string path_;
  const std::uint64_t bytes_;
  bool there_ = false;
  std::optional<std::chrono::steady_clock::time_point> next_try_;
};

}  // namespace stint::db
