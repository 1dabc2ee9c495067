// A daemon that belongs to one row: in a directory of its own, started, measured and ended by it.
//
// For rows that fill a daemon or restart it, or that need one which nobody else has used. One thread; throws
// std::runtime_error. Destroyed, it is killed and its directory removed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace stint::bench {

class OwnDaemon {
 public:
  /// `settings`: KEY=VALUE each. Not started.
  OwnDaemon(std::string program, std::vector<std::string> settings);
  ~OwnDaemon();
  OwnDaemon(const OwnDaemon&) = delete;
  OwnDaemon& operator=(const OwnDaemon&) = delete;

  /// Seconds from the start to READY=1.
  double start();
  /// Asks it to stop, and waits for it.
  void stop();

  [[nodiscard]] std::string socket() const { return (directory_ / "s").native(); }
  [[nodiscard]] std::uint64_t resident_bytes() const;
  /// How often it and its workers have waited for something and been woken.
  [[nodiscard]] std::uint64_t wake_ups() const;

 private:
  std::string program_;
  std::vector<std::string> settings_;
  std::filesystem::path directory_;
  pid_t pid_ = 0;
};

}  // namespace stint::bench
