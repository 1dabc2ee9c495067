// A process executor for one test, with what the tests of programs ask again and again.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "common/kept_output.hpp"
#include "tests/conformance/fixture.hpp"
#include "tests/conformance/program_subject.hpp"

namespace stint::test {

class ProgramBench : public Bench {
 public:
  explicit ProgramBench(std::size_t runners = 2)
      : Bench({"program", [runners](boost::asio::io_context& context, exec::Observer& observer) {
                 return std::make_unique<ProgramSubject>(context, observer, ProgramEra{.runners = runners});
               }}) {}

  [[nodiscard]] ProgramSubject& programs() { return static_cast<ProgramSubject&>(*subject); }

  static int exit_code(const EndReport& end) {
    const auto* exited = std::get_if<EndReport::Exited>(&end.ending);
    return exited != nullptr ? exited->code : -1;
  }
  static int signal_of(const EndReport& end) {
    const auto* signalled = std::get_if<EndReport::Signalled>(&end.ending);
    return signalled != nullptr ? signalled->signal : -1;
  }
  static EndReport::Failed failure(const EndReport& end) {
    const auto* failed = std::get_if<EndReport::Failed>(&end.ending);
    return failed != nullptr ? *failed : EndReport::Failed{};
  }
  static std::string out(const EndReport& end) { return end.stdout_content ? end.stdout_content->bytes : "(none)"; }
  static std::string err(const EndReport& end) { return end.stderr_content ? end.stderr_content->bytes : "(none)"; }

  /// The output of a program that is still running, from `offset`; waits for the first byte.
  exec::OutputPiece follow(JobId id, std::uint64_t offset, StreamName of = StreamName::out) {
    std::optional<exec::OutputPiece> piece;
    programs().executor().read_output({id, 1, of, offset, 1U << 20U, true},
                                      [&](std::optional<Error> error, exec::OutputPiece got) {
                                        EXPECT_FALSE(error) << error->message();
                                        piece = std::move(got);
                                      });
    EXPECT_TRUE(run_until(io, [&] { return piece.has_value(); }));
    return piece.value_or(exec::OutputPiece{});
  }
  /// Follows until `text` has been written.
  std::string follow_until(JobId id, const std::string& text) {
    std::string seen;
    for (std::uint64_t at = 0; seen.find(text) == std::string::npos;) {
      const exec::OutputPiece piece = follow(id, at);
      seen += piece.bytes;
      at = piece.next;
      if (piece.end) break;
    }
    return seen;
  }
};

[[nodiscard]] inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// For what shows by no event of ours: looks again and again, and serves the context meanwhile.
template <class Condition>
[[nodiscard]] bool poll_until(boost::asio::io_context& io, Condition condition,
                              std::chrono::milliseconds limit = std::chrono::seconds(40)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    if (io.stopped()) io.restart();
    io.run_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// No such process, or a zombie that somebody will reap.
[[nodiscard]] inline bool is_gone(pid_t pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  return name_end == std::string::npos || stat.compare(name_end + 2, 1, "Z") == 0 || stat.compare(name_end + 2, 1, "X") == 0;
}

}  // namespace stint::test
