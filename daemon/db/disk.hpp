// The file system under the store: whether it can be trusted, and a reserve of space on it.
//
// One thread at a time. Throws Error `unavailable` where the constructor or a function says so; running out of room is an
// answer here, not an error.
#pragma once

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

/// A file of a fixed size that is there to be removed: what must be recorded on a full disk takes its room.
class Ballast {
 public:
  /// No bytes or no path: there is always room.
  Ballast(std::string path, std::uint64_t bytes) : path_(std::move(path)), bytes_(bytes) {}

  /// Makes it where it is not there and there is room for twice as much, so that it does not take what was just freed.
  /// After a failure the disk is asked again after a pause. True where it is there.
  [[nodiscard]] bool ensure();
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
