// What the conformance suite asks of an executor under test: the executor itself, and jobs that behave in a known way.
//
// One suite runs on all of them (conformance_test.cpp); an executor joins with a Subject and one line there.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/exec/executor.hpp"

namespace stint::test {

class Subject {
 public:
  virtual ~Subject() = default;
  Subject() = default;
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  [[nodiscard]] virtual exec::Executor& executor() = 0;
  /// Gives back what stands behind the executor (pools, workers); called after it has closed.
  virtual void release(std::function<void()> done) = 0;
  /// How many jobs it may be given at once.
  [[nodiscard]] virtual std::size_t slots() const = 0;
  /// Can kill what does not stop, and survives what crashes.
  [[nodiscard]] virtual bool isolated() const = 0;

  [[nodiscard]] virtual JobSpec says(const std::string& text) const = 0;
  /// What a job of `says` said, from its end.
  [[nodiscard]] virtual std::string said(const EndReport& end) const = 0;
  [[nodiscard]] virtual JobSpec fails() const = 0;
  [[nodiscard]] virtual JobSpec sleeps(double seconds) const = 0;
  /// Goes on for `seconds` whatever it is asked.
  [[nodiscard]] virtual JobSpec ignores_stop(double seconds) const = 0;
  /// Result or output of so many bytes in all.
  [[nodiscard]] virtual JobSpec produces(std::size_t bytes) const = 0;
  [[nodiscard]] virtual std::size_t produced(const EndReport& end) const = 0;
  [[nodiscard]] virtual std::optional<JobSpec> crashes() const = 0;
  /// Reports 0.25, then 0.5 with the text "half", and ends.
  [[nodiscard]] virtual std::optional<JobSpec> reports() const { return std::nullopt; }
};

struct SubjectMaker {
  std::string name;
  std::function<std::unique_ptr<Subject>(boost::asio::io_context&, exec::Observer&)> make;
};

/// The executors of tasks; program_subject.hpp adds that of programs, pool_subject.hpp that of pools.
[[nodiscard]] std::vector<SubjectMaker> task_subjects();

}  // namespace stint::test
