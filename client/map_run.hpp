// One map from its first item to its last result: a window of jobs in the daemon, results handed out as they come.
//
// Items are submitted in batches into one group, at most `window` unfinished at once, and one submit is under way at a
// time. After a lost connection it is sent again by its key; where there is none, the group tells whether it arrived. What
// a draining daemon does not take waits for its end. Output is printed whole, job by job. Main thread; throws Failure and
// RpcError.
#pragma once

#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "client/interrupts.hpp"
#include "client/items.hpp"
#include "client/progress.hpp"
#include "client/record_output.hpp"
#include "client/render.hpp"
#include "client/session.hpp"
#include "client/submission.hpp"
#include "common/job.hpp"

namespace stint::cli {

struct MapPlan {
  JobSpec spec;  ///< without group
  std::string group;
  std::string marker = "{}";
  std::optional<std::string> args;  ///< of a task, with markers
  std::uint64_t window = 0;
  bool keep_order = false;
  bool fail_fast = false;
  bool quiet = false;
  bool progress = true;
  OutputForm form;
};

class MapRun {
 public:
  MapRun(Connection connection, MapPlan plan, Items items);

  /// Returns the exit code.
  int run();

 private:
  using Json = nlohmann::json;
  struct Batch {
    std::uint64_t index = 0;  ///< of its first item
    std::uint64_t count = 0;
  };

  void submit_some();
  void send_batch();
  void on_refused(const RpcError& error);
  void on_submitted(const Json& answer);
  void open_results();
  void on_stream_end(const std::string& reason);
  [[noreturn]] void lose_jobs() const;
  void take_in(Json record);
  void place_strays();
  [[nodiscard]] std::optional<std::uint64_t> index_of(JobId id) const;
  void hand_out();
  void print_record(const Json& record);
  void on_failed(const Json& record);
  void handle_signals();
  void cancel_all();
  void recover();
  void look_for_batch();
  void wait_for_news();
  [[nodiscard]] bool done() const;
  [[nodiscard]] int result_code() const;

  Interrupts interrupts_;
  Session session_;
  MapPlan plan_;
  std::string spec_json_;
  Items items_;
  Renderer renderer_;
  RecordOutput output_;
  Progress progress_;

  std::optional<Batch> in_flight_;
  std::optional<Submission> submission_;  // of in_flight_
  bool keys_ = true;                      // the daemon serves them, as far as is known
  bool draining_ = false;                 // in_flight_ was refused because of that
  std::map<JobId, Batch> batches_;        // by first id
  std::uint64_t next_index_ = 0;          // of the next item to be submitted
  std::uint64_t outstanding_ = 0;         // submitted and not finished
  bool stream_open_ = false;
  Seq since_ = 0;
  std::deque<Json> strays_;                 // results that came before the answer to their submit
  std::map<std::uint64_t, Json> by_index_;  // keep-order: waiting for earlier ones
  std::deque<Json> ready_;
  std::uint64_t next_out_ = 0;
  std::uint64_t done_count_ = 0;
  std::uint64_t failed_count_ = 0;
  std::optional<int> first_failure_;
  bool cancelled_ = false;
  bool interrupted_ = false;
};

}  // namespace stint::cli
