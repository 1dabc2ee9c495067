// The items of a map: words after `:::`, or standard input as it arrives, split at line ends or NULs.
//
// Never reads further ahead than it is asked to. Main thread; throws Failure 65 for an item that is too long or no UTF-8.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace stint::cli {

class Items {
 public:
  /// These and no more.
  explicit Items(std::vector<std::string> words);
  /// From descriptor `fd`, split at `separator`.
  Items(int fd, char separator);

  /// Descriptor to poll for more; -1 where there is no more, or enough is waiting.
  [[nodiscard]] int wants() const;
  /// Reads once.
  void read_some();

  [[nodiscard]] bool has_next() const { return !ready_.empty(); }
  [[nodiscard]] const std::string& front() const { return ready_.front(); }
  std::string take();
  /// No item is left and none will come.
  [[nodiscard]] bool exhausted() const { return ended_ && ready_.empty(); }
  /// Nothing more will be read; what was read is dropped.
  void stop();
  /// Items seen so far, and whether that is all of them.
  [[nodiscard]] std::uint64_t seen() const { return seen_; }
  [[nodiscard]] bool complete() const { return ended_; }

 private:
  void add(std::string item);

  int fd_ = -1;
  char separator_ = '\n';
  bool ended_ = true;
  std::uint64_t seen_ = 0;
  std::string partial_;
  std::deque<std::string> ready_;
};

}  // namespace stint::cli
