// Results in the order of completion, of a group or of a user: a cursor in the order of seq.
//
// While it keeps up it is handed each record as it is published. When its sink is full it only remembers how far it is,
// and reads on from the store when there is room. Inside feed/ only.
#pragma once

#include <deque>

#include "daemon/feed/result_stream.hpp"

namespace stint::feed {

class CursorStream final : public ResultStream {
 public:
  using ResultStream::ResultStream;

  void on_finished(const core::FinishedPtr& job) override;
  void resume() override;
  [[nodiscard]] bool awaits(const core::FinishedJob& job) const override;
  /// It would not be on the next page, and nobody would know.
  void on_forgotten(const core::FinishedJob& job) override {
    if (!dead() && awaits(job)) finish_forgotten(job.id);
  }

 protected:
  void prepare() override;
  void pump() override { resume(); }
  [[nodiscard]] bool drained() const override { return mode_ == Mode::live; }

 private:
  enum class Mode : std::uint8_t { behind, reading, live };

  void read();
  void on_page(const std::vector<core::FinishedPtr>& page);
  [[nodiscard]] bool hand_over(const core::FinishedPtr& job);

  Mode mode_ = Mode::behind;
  Seq cursor_ = 0;
  std::deque<core::FinishedPtr> tail_;  // published while a page is being read
  bool overflowed_ = false;             // more was than the tail takes
};

}  // namespace stint::feed
