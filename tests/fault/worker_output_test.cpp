// What is kept of a program's output, and that it is kept right.
#include <gtest/gtest.h>

#include "tests/fault/program_bench.hpp"

namespace stint::test {
namespace {

class Outputs : public ::testing::Test {
 protected:
  ProgramBench bench{1};

  /// All that is kept of standard output, piece by piece, with where each piece begins.
  std::vector<std::pair<std::uint64_t, std::string>> kept(JobId id, const OutputContent& content, std::uint64_t limit) {
    std::vector<std::pair<std::uint64_t, std::string>> pieces;
    const std::string path = output_path(bench.programs().out_dir(), id, 1, StreamName::out);
    for (std::uint64_t at = 0;;) {
      KeptPiece piece = read_kept(content, limit, path, at, 100'000);
      if (piece.bytes.empty()) break;
      at = piece.next;
      if (!pieces.empty() && pieces.back().first + pieces.back().second.size() == piece.offset) {
        pieces.back().second += piece.bytes;
      } else {
        pieces.emplace_back(piece.offset, std::move(piece.bytes));
      }
    }
    return pieces;
  }
  /// Numbers in lines of eight bytes, so that each place of the stream is known by its content.
  static std::string numbers(std::uint64_t from, std::uint64_t to) {
    std::string text;
    for (std::uint64_t line = from / 8; line * 8 < to; ++line) {
      std::string number = std::to_string(line);
      text += std::string(7 - number.size(), '0') + number + "\n";
    }
    return text.substr(from % 8, to - from);
  }
  static JobSpec writes_numbers(std::uint64_t lines) {
    return command_job({"seq", "-f", "%07.0f", "0", std::to_string(lines - 1)});
  }
};

TEST_F(Outputs, BothStreamsWithoutNewlineAndBinary) {
  const EndReport end = bench.run(shell_job("printf 'no newline'; printf '\\000\\377\\001' >&2"));
  EXPECT_EQ(ProgramBench::out(end), "no newline");
  EXPECT_EQ(ProgramBench::err(end), std::string("\0\377\1", 3));
}

TEST_F(Outputs, ReopenedDescriptorsLoseNothing) {
  EXPECT_EQ(ProgramBench::err(bench.run(shell_job("echo one >&2; echo two | tee /dev/stderr; echo three >&2"))),
            "one\ntwo\nthree\n");
  EXPECT_EQ(ProgramBench::out(bench.run(shell_job("echo one; echo two > /dev/stdout; echo three"))), "one\ntwo\nthree\n");
}

TEST_F(Outputs, StderrIntoStdoutAndNull) {
  JobSpec spec = shell_job("echo out; echo err >&2");
  spec.stderr_target.target = OutputTarget::ToStdout{};
  const EndReport joined = bench.run(spec);
  EXPECT_EQ(ProgramBench::out(joined), "out\nerr\n");
  EXPECT_FALSE(joined.stderr_content);
  spec.stdout_target.target = OutputTarget::Null{};
  EXPECT_FALSE(bench.run(spec).stdout_content);
}

TEST_F(Outputs, AtTheBoundOfMemoryAndPastIt) {
  for (const std::uint64_t bytes :
       {std::uint64_t{limits::output_inline_bytes_max}, std::uint64_t{limits::output_inline_bytes_max + 8}}) {
    const EndReport& end = bench.run(writes_numbers(bytes / 8));
    const OutputContent& content = *end.stdout_content;
    EXPECT_EQ(content.size.bytes, bytes);
    EXPECT_FALSE(content.size.truncated);
    EXPECT_EQ(content.in_file, bytes > limits::output_inline_bytes_max);
    const auto pieces = kept(bench.last_id, content, limits::output_limit_bytes_default);
    ASSERT_EQ(pieces.size(), 1U);
    EXPECT_EQ(pieces[0].second, numbers(0, bytes));
  }
}

TEST_F(Outputs, HeadAndTailOfAHundredMegabytes) {
  constexpr std::uint64_t lines = 12'500'000;
  constexpr std::uint64_t limit = 1'000'003;
  JobSpec spec = command_job({"seq", "-f", "%07.0f", "0", std::to_string(lines - 1)});
  spec.shell = "i=0; seq -f %07.0f 0 9999999; seq -f %07.0f 0 2499999";
  spec.command.reset();
  spec.output_limit = limit;
  const EndReport& end = bench.run(spec);
  const OutputContent& content = *end.stdout_content;
  EXPECT_EQ(content.size.bytes, lines * 8);
  EXPECT_TRUE(content.size.truncated);
  EXPECT_TRUE(content.in_file);
  const auto pieces = kept(bench.last_id, content, limit);
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces[0].first, 0U);
  EXPECT_EQ(pieces[0].second, numbers(0, limit / 2));
  const std::uint64_t tail = limit - limit / 2;
  EXPECT_EQ(pieces[1].first, lines * 8 - tail);
  EXPECT_EQ(pieces[1].second, numbers(2'500'000 * 8 - tail, 2'500'000 * 8));
}

TEST_F(Outputs, SmallLimits) {
  for (const std::uint64_t limit : {std::uint64_t{1}, std::uint64_t{100}, std::uint64_t{4'096}}) {
    JobSpec spec = writes_numbers(1'000);
    spec.output_limit = limit;
    const OutputContent content = *bench.run(spec).stdout_content;
    EXPECT_EQ(content.size.bytes, 8'000U);
    EXPECT_TRUE(content.size.truncated);
    EXPECT_EQ(content.bytes, numbers(0, limit / 2) + numbers(8'000 - (limit - limit / 2), 8'000));
  }
  JobSpec spec = writes_numbers(100);
  spec.output_limit = 800;
  EXPECT_FALSE(bench.run(spec).stdout_content->size.truncated);
  spec.output_limit = 799;
  EXPECT_TRUE(bench.run(spec).stdout_content->size.truncated);
  spec.output_limit = 0;
  const OutputContent nothing = *bench.run(spec).stdout_content;
  EXPECT_EQ(nothing.size.bytes, 800U);
  EXPECT_TRUE(nothing.size.truncated);
  EXPECT_TRUE(nothing.bytes.empty());
}

TEST_F(Outputs, AnOutputFolderThatCannotBeWritten) {
  std::filesystem::remove_all(bench.programs().out_dir());
  const EndReport& end = bench.run(writes_numbers(100'000));
  EXPECT_EQ(ProgramBench::exit_code(end), 0);
  EXPECT_EQ(end.stdout_content->size.bytes, 800'000U);
  EXPECT_TRUE(end.stdout_content->size.truncated);
}

TEST_F(Outputs, FollowedAsItArises) {
  JobSpec spec = shell_job("while read line; do echo got $line; done");
  spec.stdin_source.source = StdinSource::Stream{};
  const JobId id = bench.start(spec);
  ASSERT_TRUE(bench.wait_started(id));
  std::uint64_t at = 0;
  for (const std::string word : {"a", "b", "c"}) {
    bench.subject->executor().write_input(id, 1, {word + "\n", false, {}}, [](std::optional<Error>) {});
    const exec::OutputPiece piece = bench.follow(id, at);
    EXPECT_EQ(piece.bytes, "got " + word + "\n");
    EXPECT_EQ(piece.offset, at);
    EXPECT_FALSE(piece.end);
    at = piece.next;
  }
  std::optional<exec::OutputPiece> last;
  bench.subject->executor().read_output({id, 1, StreamName::out, at, 100, true},
                                        [&](std::optional<Error>, exec::OutputPiece piece) { last = std::move(piece); });
  bench.subject->executor().write_input(id, 1, {"", true, {}}, [](std::optional<Error>) {});
  ASSERT_TRUE(bench.wait_ended(id));
  ASSERT_TRUE(last);
  EXPECT_TRUE(last->end);
  EXPECT_TRUE(last->bytes.empty());
  std::optional<Error> gone;
  bench.subject->executor().read_output({id, 1, StreamName::out, 0, 100, false},
                                        [&](std::optional<Error> error, exec::OutputPiece) { gone = error; });
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->kind(), ErrorKind::not_found);
}

}  // namespace
}  // namespace stint::test
