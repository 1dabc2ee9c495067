// The state directory: made if missing, checked to be ours, and held by a lock while a daemon lives in it.
//
// The lock file names the socket of its holder, so that whoever finds the directory taken can say where to connect.
// The kernel drops the lock when the holder dies, and what it had just forked with it: no pid decides, and no clock. It also
// tells whether the machine was restarted since the last daemon that recovered here. Throws StateDirError.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

#include "common/unique_fd.hpp"

namespace stint {

/// A sentence for a person that says what to do.
class StateDirError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Another daemon has it: trying again later may help.
class StateDirTaken : public StateDirError {
 public:
  using StateDirError::StateDirError;
};

class StateDir {
 public:
  /// Makes `path` (mode 0700) and its folders, takes the lock and writes `socket_path` into it.
  StateDir(std::filesystem::path path, const std::filesystem::path& socket_path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path workers() const { return path_ / "workers"; }
  [[nodiscard]] std::filesystem::path output() const { return path_ / "out"; }
  /// True until note_boot where the last daemon that recovered here did so before the machine was started: no process of
  /// that time is alive.
  [[nodiscard]] bool rebooted() const { return rebooted_; }
  /// To be called when what ran before the restart is on record as lost, and not before: a start that ends earlier must leave
  /// the next one to know of the restart, or that would run it again. Synced.
  void note_boot();

 private:
  std::filesystem::path path_;
  UniqueFd lock_;
  UniqueFd boot_;
  bool rebooted_ = false;
};

}  // namespace stint
