// Lines cannot be forged, logging never waits, what is lost is counted, and files rotate.

#include "daemon/host/logging.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

namespace stint::host {
namespace {

class Logging : public testing::Test {
 protected:
  Logging() {
    std::string name = (std::filesystem::temp_directory_path() / "stint-log-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = name;
  }
  ~Logging() override {
    spdlog::set_default_logger(before_);
    std::filesystem::remove_all(directory_);
  }

  static std::string content(const std::filesystem::path& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  std::filesystem::path directory_;
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

/// Standard error is a pipe for as long as this lives.
class CapturedStderr {
 public:
  CapturedStderr() : saved_(::dup(STDERR_FILENO)) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    read_.reset(ends[0]);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
  }
  ~CapturedStderr() { ::dup2(saved_.get(), STDERR_FILENO); }

  std::string journal_stream() const {
    struct stat status {};
    ::fstat(STDERR_FILENO, &status);
    return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  }
  /// All that has been written so far.
  std::string take() {
    std::string all;
    pollfd question{.fd = read_.get(), .events = POLLIN, .revents = 0};
    while (::poll(&question, 1, 0) == 1 && (question.revents & POLLIN) != 0) {
      char buffer[65536];
      const ssize_t got = ::read(read_.get(), buffer, sizeof(buffer));
      if (got <= 0) break;
      all.append(buffer, static_cast<std::size_t>(got));
    }
    return all;
  }

 private:
  UniqueFd saved_;
  UniqueFd read_;
};

TEST(Escape, ControlCharactersCannotForgeALine) {
  EXPECT_EQ(escape_control("plain – ü"), "plain – ü");
  EXPECT_EQ(escape_control("a\nb\tc\r"), "a\\nb\\tc\\x0d");
  EXPECT_EQ(escape_control("\x1b[31mred\x7f"), "\\x1b[31mred\\x7f");
  EXPECT_EQ(escape_control("\xc2\x9b"
                           "2J"),
            "\\xc2\\x9b2J");
  EXPECT_EQ(escape_control("C:\\dir and \\n"), "C:\\dir and \\\\n");
  EXPECT_EQ(escape_control(std::string_view("\0", 1)), "\\x00");
}

TEST_F(Logging, StandardErrorGetsOneEscapedLineAMessage) {
  CapturedStderr captured;
  setup_logging({});
  spdlog::info("job {} done", "a\nb");
  spdlog::debug("not seen");
  const std::string text = captured.take();
  EXPECT_NE(text.find(" info job a\\nb done\n"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_EQ(text.find("not seen"), std::string::npos);
}

TEST_F(Logging, TheJournalGetsPriorities) {
  CapturedStderr captured;
  ::setenv("JOURNAL_STREAM", captured.journal_stream().c_str(), 1);
  setup_logging({.least = Severity::debug, .file = std::nullopt});
  ::unsetenv("JOURNAL_STREAM");
  spdlog::error("e");
  spdlog::warn("w");
  spdlog::info("i");
  spdlog::debug("d");
  EXPECT_EQ(captured.take(), "<3>e\n<4>w\n<6>i\n<7>d\n");
}

TEST(Journal, OnlyTheNamedStreamIsTheJournal) {
  CapturedStderr captured;
  EXPECT_TRUE(is_journal(STDERR_FILENO, captured.journal_stream().c_str()));
  EXPECT_FALSE(is_journal(STDERR_FILENO, "1:2"));
  EXPECT_FALSE(is_journal(STDERR_FILENO, nullptr));
}

TEST_F(Logging, AReaderThatDoesNotReadHoldsNobodyUpAndTheLossIsCounted) {
  CapturedStderr captured;
  setup_logging({});
  const auto before = dropped_log_lines();
  for (int n = 0; n < 5'000; ++n) spdlog::info("line {} {}", n, std::string(100, 'x'));
  const auto lost = dropped_log_lines() - before;
  EXPECT_GT(lost, 0U);
  const std::string first = captured.take();
  EXPECT_EQ(static_cast<std::uint64_t>(std::count(first.begin(), first.end(), '\n')), 5'000 - lost);
  spdlog::info("room again");
  const std::string text = captured.take();
  EXPECT_TRUE(text.starts_with("(" + std::to_string(lost) + " log lines could not be written)\n")) << text;
  EXPECT_NE(text.find("room again"), std::string::npos);
}

TEST_F(Logging, ALineIsCutAtItsBound) {
  CapturedStderr captured;
  setup_logging({});
  spdlog::info(std::string(line_bytes_max * 2, 'x'));
  const std::string text = captured.take();
  EXPECT_EQ(text.size(), line_bytes_max);
  EXPECT_TRUE(text.ends_with("...\n"));
}

TEST_F(Logging, AFileIsRotatedAndOldOnesAreDropped) {
  const auto path = directory_ / "stintd.log";
  RotatedFile file({.path = path, .bytes = 10, .kept = 2});
  for (const char* line : {"1234\n", "5678\n", "abcd\n", "efgh\n", "ijkl\n", "mnop\n", "last\n"}) EXPECT_TRUE(file.write(line));
  EXPECT_EQ(content(path), "last\n");
  EXPECT_EQ(content(path.string() + ".1"), "ijkl\nmnop\n");
  EXPECT_EQ(content(path.string() + ".2"), "abcd\nefgh\n");
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".3"));
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0600));
}

TEST_F(Logging, AFileIsContinuedAfterARestart) {
  const auto path = directory_ / "stintd.log";
  { EXPECT_TRUE(RotatedFile({.path = path, .bytes = 10, .kept = 1}).write("1234\n")); }
  RotatedFile again({.path = path, .bytes = 10, .kept = 1});
  EXPECT_TRUE(again.write("5678\n"));
  EXPECT_EQ(content(path), "1234\n5678\n");
  EXPECT_TRUE(again.write("abcd\n"));
  EXPECT_EQ(content(path), "abcd\n");
}

TEST_F(Logging, AFileThatCannotBeOpenedIsNamedOnStandardErrorWhichTakesItsPlace) {
  testing::internal::CaptureStderr();
  setup_logging({.least = Severity::info, .file = LogFile{.path = directory_ / "none" / "stintd.log"}});
  spdlog::info("goes on");
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("warning"), std::string::npos) << said;
  EXPECT_NE(said.find("none/stintd.log cannot be opened"), std::string::npos) << said;
  EXPECT_NE(said.find("goes on"), std::string::npos) << said;
}

TEST_F(Logging, AFullDiskIsCountedAndSurvived) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  const auto before = dropped_log_lines();
  setup_logging({.least = Severity::info, .file = LogFile{.path = "/dev/full"}});
  spdlog::info("lost");
  EXPECT_EQ(dropped_log_lines(), before + 1);
}

TEST_F(Logging, ThreadsDoNotMixTheirLines) {
  const auto path = directory_ / "stintd.log";
  setup_logging({.least = Severity::info, .file = LogFile{.path = path}});
  std::vector<std::jthread> threads;
  for (char name = 'a'; name < 'e'; ++name)
    threads.emplace_back([name] {
      for (int n = 0; n < 500; ++n) spdlog::info(std::string(50, name));
    });
  threads.clear();
  std::ifstream file(path);
  std::string line;
  int lines = 0;
  while (std::getline(file, line)) {
    ++lines;
    const std::string word = line.substr(line.rfind(' ') + 1);
    EXPECT_EQ(word, std::string(50, word.front()));
  }
  EXPECT_EQ(lines, 2'000);
}

}  // namespace
}  // namespace stint::host
