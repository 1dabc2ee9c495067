// Results whose order is not the cursor's: of given ids, and everything in the order of submission.
//
// Holds ids, not records: an id is ready when its job is announced and, in the order of submission, nothing smaller is
// unfinished. What is ready while the sink has room is handed over at once, the rest is fetched from the store when
// there is room. Inside feed/ only.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "daemon/feed/result_stream.hpp"
#include "daemon/feed/submission_line.hpp"

namespace stint::feed {

class ReadyStream final : public ResultStream {
 public:
  using ResultStream::ResultStream;

  void on_submitted(JobId id) override;
  void on_finished(const core::FinishedPtr& job) override;
  void resume() override { pump(); }
  [[nodiscard]] bool awaits(const core::FinishedJob& job) const override;
  void unwatch() override;

 protected:
  void prepare() override;
  void pump() override;
  [[nodiscard]] bool drained() const override;
  [[nodiscard]] bool ids_done() const override { return open_ && watched_ == 0 && line_.empty(); }
  void forget_vanished(JobId first, std::uint64_t count) override;

 private:
  [[nodiscard]] bool by_id() const { return options_.order == Order::submission; }
  void look_up_ids();
  void on_looked_up(const std::vector<db::Found>& found);
  void walk_unfinished(JobId after);
  void read_past(Seq after);
  void open_line();
  void fetch();
  void on_fetched(const std::vector<db::Found>& found);
  void take_from_line();

  // While it opens: what has finished already.
  std::vector<JobId> unknown_;  // ids that are not here: the store must know them
  std::size_t looked_up_ = 0;
  std::vector<std::pair<Seq, JobId>> past_;

  SubmissionLine line_;      // order of submission only
  std::deque<JobId> ready_;  // to be handed over, in order
  std::size_t watched_ = 0;  // ids that have not finished
  bool fetching_ = false;
};

}  // namespace stint::feed
