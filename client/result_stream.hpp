// The results of jobs, one record each as they finish: a job.results stream that survives the loss of its connection.
//
// In completion order it resumes by `since`; in submission order it starts again and skips what it has handed out; of given
// ids it asks for those that are left.
// Main thread; throws RpcError and Failure.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "client/interrupts.hpp"
#include "client/session.hpp"
#include "common/protocol.hpp"

namespace stint::cli {

class ResultStream {
 public:
  ResultStream(Connection connection, protocol::ResultsRequest request);

  /// Hands each record to `on_record` until it returns false, the stream ends, or a signal comes (Failure 128+n).
  /// Returns the stream's reason ("complete", "timed_out" …), or "enough".
  std::string run(const std::function<bool(const nlohmann::json& record)>& on_record);

  [[nodiscard]] Interrupts& interrupts() { return interrupts_; }

 private:
  void open();
  void take_signals();

  Interrupts interrupts_;
  Session session_;
  protocol::ResultsRequest request_;
  std::set<JobId> handed_out_;  // of given ids, and in submission order
  std::vector<nlohmann::json> arrived_;
  std::string end_reason_;
};

}  // namespace stint::cli
