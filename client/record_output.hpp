// What one finished job wrote (or, of a task, returned), printed whole and unmixed.
//
// Small outputs travel with the record; larger ones are fetched over a second connection, so that the stream of results
// waits meanwhile, and go on where they were when that one breaks. Main thread; throws RpcError and Failure.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "client/output_copy.hpp"
#include "client/session.hpp"

namespace stint::cli {

/// The result of a task, as JSON: from its record, or where it is too large for that, asked for.
[[nodiscard]] std::string task_result(Connection& connection, const nlohmann::json& record);

class RecordOutput {
 public:
  /// `path`: the socket to fetch from. `lost_code`: as of Session. `on_interrupt` as in write_all.
  RecordOutput(std::string path, bool quiet, int lost_code, Interrupts& interrupts, std::function<void()> on_interrupt = {})
      : path_(std::move(path)),
        quiet_(quiet),
        lost_code_(lost_code),
        interrupts_(interrupts),
        on_interrupt_(std::move(on_interrupt)) {}

  Written print(const nlohmann::json& record);

 private:
  Session& fetcher();
  Written print_stream(const nlohmann::json& record, StreamName name);

  std::string path_;
  bool quiet_;
  int lost_code_;
  Interrupts& interrupts_;
  std::function<void()> on_interrupt_;
  std::optional<Session> fetcher_;
};

}  // namespace stint::cli
