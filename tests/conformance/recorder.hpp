// An observer that keeps what it is told, and the loop that waits for it: never by the clock alone.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <map>
#include <vector>

#include "daemon/exec/executor.hpp"

namespace stint::test {

class Recorder final : public exec::Observer {
 public:
  struct Record {
    int started = 0;
    int stopping = 0;
    int ended = 0;
    int returned = 0;
    exec::Started start;
    EndReport end;
    std::vector<double> progress;
    std::string progress_text;
  };

  void on_started(JobId id, Attempt, exec::Started started) override {
    Record& record = enter(id);
    ++record.started;
    record.start = std::move(started);
  }
  void on_progress(JobId id, Attempt, double value, std::string text) override {
    Record& record = enter(id);
    record.progress.push_back(value);
    record.progress_text = std::move(text);
  }
  void on_stopping(JobId id, Attempt) override { ++enter(id).stopping; }
  void on_ended(JobId id, Attempt, EndReport report) override {
    Record& record = enter(id);
    ++record.ended;
    record.end = std::move(report);
    order.push_back(id);
    if (on_end) on_end(id);
  }

  void on_returned(JobId id, Attempt) override { ++enter(id).returned; }

  [[nodiscard]] bool ended(JobId id) { return records[id].ended > 0; }

  std::map<JobId, Record> records;
  std::vector<JobId> order;  ///< of the ends
  std::function<void(JobId)> on_end;
  bool inside_call = false;  ///< a call to the executor is under way

 private:
  Record& enter(JobId id) {
    EXPECT_FALSE(inside_call) << "told from inside a call";
    Record& record = records[id];
    EXPECT_EQ(record.ended, 0) << "told after the end of job " << id;
    return record;
  }
};

/// Runs the context until `condition` holds; false where it did not within the time.
template <class Condition>
[[nodiscard]] bool run_until(boost::asio::io_context& io, Condition condition,
                             std::chrono::milliseconds limit = std::chrono::seconds(60)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    if (io.stopped()) io.restart();
    io.run_one_until(deadline);
  }
  return true;
}

}  // namespace stint::test
