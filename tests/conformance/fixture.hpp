// A running executor for one test: starts jobs, waits for what happens, closes everything in the end.
#pragma once

#include "tests/conformance/recorder.hpp"
#include "tests/conformance/subject.hpp"

namespace stint::test {

class Bench {
 public:
  explicit Bench(const SubjectMaker& maker) : subject(maker.make(io, recorder)) {}
  ~Bench() { close(); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  JobId start(JobSpec spec, std::optional<std::string> item = std::nullopt) {
    exec::Order order;
    order.id = ++last_id;
    order.attempt = 1;
    order.spec = std::make_shared<const JobSpec>(std::move(spec));
    if (item) order.item = std::make_shared<const json::Raw>(json::Raw{*item});
    call([&] { subject->executor().start(std::move(order)); });
    return last_id;
  }
  void stop(JobId id, bool force = false) {
    call([&] { subject->executor().stop(id, 1, force); });
  }
  /// As the engine does it: never more at once than there are slots.
  void start_all(std::vector<JobSpec> specs) {
    std::reverse(specs.begin(), specs.end());
    const auto next = [this, left = std::make_shared<std::vector<JobSpec>>(std::move(specs))] {
      if (left->empty()) return;
      start(std::move(left->back()));
      left->pop_back();
    };
    recorder.on_end = [next](JobId) { next(); };
    for (std::size_t i = 0; i < subject->slots(); ++i) next();
  }

  [[nodiscard]] bool wait_started(JobId id) {
    return run_until(io, [&] { return recorder.records[id].started > 0; });
  }
  [[nodiscard]] bool wait_ended(JobId id) {
    return run_until(io, [&] { return recorder.ended(id); });
  }
  [[nodiscard]] bool wait_ends(std::size_t count) {
    return run_until(io, [&] { return recorder.order.size() >= count; });
  }
  /// Runs a job to its end.
  const EndReport& run(JobSpec spec, std::optional<std::string> item = std::nullopt) {
    const JobId id = start(std::move(spec), std::move(item));
    EXPECT_TRUE(wait_ended(id)) << "job " << id << " did not end";
    return recorder.records[id].end;
  }

  void close() {
    if (std::exchange(closed, true)) return;
    bool done = false;
    for (const JobId id : recorder.order) subject->executor().on_recorded(id, 1);
    call([&] { subject->executor().close([&] { subject->release([&] { done = true; }); }); });
    EXPECT_TRUE(run_until(io, [&] { return done; })) << "close did not end";
  }

  /// The failure's kind; empty where it did not fail.
  static std::string kind_of(const EndReport& end) {
    const auto* failed = std::get_if<EndReport::Failed>(&end.ending);
    return failed != nullptr ? failed->error.kind : "";
  }

  boost::asio::io_context io{1};
  Recorder recorder;
  std::unique_ptr<Subject> subject;
  JobId last_id = 0;
  bool closed = false;

 private:
  template <class Call>
  void call(Call&& the_call) {
    const bool outer = std::exchange(recorder.inside_call, true);
    the_call();
    recorder.inside_call = outer;
  }
};

}  // namespace stint::test
