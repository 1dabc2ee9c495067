#include "client/result_stream.hpp"

#include <poll.h>

#include <array>

#include "client/record.hpp"

namespace stint::cli {

ResultStream::ResultStream(Connection connection, protocol::ResultsRequest request)
    : session_(std::move(connection), exit_code::no_daemon, interrupts_), request_(std::move(request)) {}

void ResultStream::open() {
  if (request_.ids) {
    std::erase_if(*request_.ids, [this](JobId id) { return handed_out_.contains(id); });
    if (request_.ids->empty()) {
      end_reason_ = "complete";
      return;
    }
  }
  session_.connection.open_stream("job.results", json::encode_text(request_),
                                  {[this](nlohmann::json record) { arrived_.push_back(std::move(record)); },
                                   [this](const nlohmann::json& end) { end_reason_ = text_at(end, "reason"); }},
                                  [this](const RpcError& error) {
                                    // A daemon on its way down; the loss of the connection tells the rest.
                                    if (error.kind() == "draining") return;
                                    session_.refuse(error, request_.ids ? "a job" : "the group");
                                  });
}

void ResultStream::take_signals() {
  if (const auto signal = interrupts_.take()) throw Failure(exit_code::signalled + *signal, "interrupted; the jobs go on");
}

std::string ResultStream::run(const std::function<bool(const nlohmann::json&)>& on_record) {
  open();
  while (true) {
    for (auto& record : std::exchange(arrived_, {})) {
      const JobId id = number_at(record, "id");
      const bool listed = request_.ids || request_.order == Order::submission;
      if (listed && !handed_out_.insert(id).second) continue;
      if (request_.order == Order::completion) request_.since = number_at(record, "seq");
      if (!on_record(record)) return "enough";
      take_signals();
    }
    if (!end_reason_.empty() && end_reason_ != "draining") return end_reason_;
    try {
      std::array<pollfd, 1> others{pollfd{interrupts_.fd(), POLLIN, 0}};
      session_.connection.pump(others);
      take_signals();
    } catch (const ConnectionLost&) {
      if (!arrived_.empty()) continue;
      session_.recover();
      end_reason_.clear();
      open();
    }
  }
}

}  // namespace stint::cli
