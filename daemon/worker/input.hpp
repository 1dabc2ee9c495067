// What a program reads on its standard input: given bytes at once, or fed piece by piece with a bounded buffer.
//
// A question (a piece offered) is answered when the pipe or the buffer has taken it whole: that is the back-pressure.
// Pieces that do not fit wait here in order. Knows no event loop; the runner's thread; throws only bad_alloc.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "common/unique_fd.hpp"

namespace stint::worker {

class Input {
 public:
  /// What is offered before waits.
  void open(UniqueFd pipe) { pipe_ = std::move(pipe); }

  [[nodiscard]] int fd() const { return pipe_.get(); }
  /// Closed: the end was sent, or nobody reads any more.
  [[nodiscard]] bool is_closed() const { return !pipe_; }
  [[nodiscard]] bool wants_to_write() const { return pipe_ && !pending_.empty(); }
  /// No piece may follow one that carried the end.
  [[nodiscard]] bool has_end() const { return has_end_; }

  /// How many bytes were offered before: where the next piece belongs.
  [[nodiscard]] std::uint64_t offered() const { return offered_; }

  /// `question` 0: nobody asks.
  void offer(std::uint64_t question, std::string bytes, bool end);

  struct Answers {
    std::vector<std::uint64_t> accepted;
    std::vector<std::uint64_t> refused;  ///< nobody reads any more
  };
  /// Writes what the pipe takes.
  Answers pump();
  Answers close();
  /// Who offered is gone: nobody is answered any more, and what was not accepted and not begun is not written.
  void forget_askers();

 private:
  struct Offer {
    std::uint64_t question = 0;
    std::string bytes;
    std::size_t written = 0;
  };
  void accept_what_fits(Answers& answers);

  UniqueFd pipe_;
  std::deque<Offer> pending_;
  std::size_t buffered_ = 0;  // unwritten bytes of the offers that were accepted
  std::size_t accepted_ = 0;  // how many of pending_ were, from the front
  std::uint64_t offered_ = 0;
  bool has_end_ = false;
};

}  // namespace stint::worker
