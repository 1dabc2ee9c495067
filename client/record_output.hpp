// What one finished job wrote (or, of a task, returned), printed whole and unmixed.
//
// Small outputs travel with the record; larger ones are fetched over a second connection, so that the stream of results
// waits meanwhile. Main thread; throws as output_copy.hpp.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "client/connection.hpp"
#include "client/output_copy.hpp"

namespace stint::cli {

/// The result of a task, as JSON: from its record, or where it is too large for that, asked for.
[[nodiscard]] std::string task_result(Connection& connection, const nlohmann::json& record);

class RecordOutput {
 public:
  /// `path`: the socket to fetch from. `on_interrupt` as in write_all.
  RecordOutput(std::string path, bool quiet, std::function<void()> on_interrupt = {})
      : path_(std::move(path)), quiet_(quiet), on_interrupt_(std::move(on_interrupt)) {}

  Written print(const nlohmann::json& record);
  /// Drops the second connection, for example after a loss.
  void forget_connection() { fetcher_.reset(); }

 private:
  Connection& fetcher();
  Written print_stream(const nlohmann::json& record, StreamName name);

  std::string path_;
  bool quiet_;
  std::function<void()> on_interrupt_;
  std::optional<Connection> fetcher_;
};

}  // namespace stint::cli
