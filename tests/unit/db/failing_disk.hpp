// A file system for SQLite that runs out of room or breaks at the n-th write, sync or truncation.
//
// Everything else goes through to the usual one. Registered once a process under its name; counts are shared by all of its
// files, so one test at a time. What is counted may come from the store's thread: all of it is atomic.
#pragma once

#include <atomic>
#include <cstdint>

namespace stint::db {

class FailingDisk {
 public:
  static constexpr const char* name = "stint-failing-disk";

  enum class Trouble : std::uint8_t {
    full,         ///< no room for writes; syncs and truncations work
    write_error,  ///< writes and truncations fail
    sync_error,   ///< syncs fail
  };

  /// The disk of this process.
  static FailingDisk& instance();

  /// From the n-th call that the trouble is about (1: the next one) `count` calls fail.
  void plan(Trouble trouble, std::uint64_t n, std::uint64_t count);
  void heal() { plan(Trouble::full, 0, 0); }
  /// Calls that have failed since the plan was made.
  [[nodiscard]] std::uint64_t failed() const { return failed_; }

  // For the file system: the SQLite code to be answered, SQLITE_OK where the call goes through.
  [[nodiscard]] int on_write();
  [[nodiscard]] int on_sync();
  [[nodiscard]] int on_truncate();

 private:
  FailingDisk();
  [[nodiscard]] bool strikes();

  std::atomic<Trouble> trouble_{Trouble::full};
  std::atomic<std::uint64_t> calls_{0};
  std::atomic<std::uint64_t> from_{0};
  std::atomic<std::uint64_t> until_{0};
  std::atomic<std::uint64_t> failed_{0};
};

}  // namespace stint::db
