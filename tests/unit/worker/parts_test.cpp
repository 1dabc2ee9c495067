// The runner's parts by themselves: capture, input, slot file, kept output, environment, process tree.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <random>

#include "common/error.hpp"
#include "common/kept_output.hpp"
#include "common/limits.hpp"
#include "common/process_tree.hpp"
#include "common/slot_file.hpp"
#include "daemon/worker/capture.hpp"
#include "daemon/worker/environment.hpp"
#include "daemon/worker/input.hpp"
#include "daemon/worker/spawn.hpp"

namespace stint::worker {
namespace {

class InScratch : public ::testing::Test {
 protected:
  InScratch() {
    std::string name = std::filesystem::temp_directory_path() / "stint-test-XXXXXX";
    folder = ::mkdtemp(name.data());
  }
  ~InScratch() override { std::filesystem::remove_all(folder); }
  std::string path(const std::string& name) { return folder / name; }
  std::filesystem::path folder;
};

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  UniqueFd read;
  UniqueFd write;
};

class Captures : public InScratch {};

TEST_F(Captures, KeepTheSameWhateverTheLimitAndTheChunks) {
  std::mt19937 random(20'261'122);
  std::string text(300'000, '\0');
  for (char& c : text) c = static_cast<char>(random());
  for (const std::uint64_t limit :
       {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{65'535}, std::uint64_t{65'536}, std::uint64_t{65'537},
        std::uint64_t{100'001}, std::uint64_t{299'999}, std::uint64_t{300'000}, std::uint64_t{1'000'000}}) {
    Pipe pipe;
    Capture capture(std::move(pipe.read), limit, path("head"));
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = std::min<std::size_t>(1 + random() % 60'000, text.size() - at);
      ASSERT_EQ(::write(pipe.write.get(), text.data() + at, size), static_cast<ssize_t>(size));
      capture.drain();
      at += size;
    }
    pipe.write.reset();
    EXPECT_EQ(capture.drain(), Capture::Drain::end);
    capture.close();
    const KeptStream kept = capture.take_result();
    EXPECT_EQ(kept.bytes, text.size());
    EXPECT_EQ(kept.truncated, limit < text.size());
    const std::uint64_t head = kept.truncated ? limit / 2 : text.size();
    const std::uint64_t tail = kept.truncated ? limit - limit / 2 : 0;
    const OutputContent content{{kept.bytes, kept.truncated}, kept.content, kept.in_file};
    std::string got;
    for (std::uint64_t at = 0;;) {
      const KeptPiece piece = read_kept(content, limit, path("head"), at, 1 + random() % 50'000);
      if (piece.bytes.empty()) break;
      EXPECT_EQ(piece.bytes, text.substr(piece.offset, piece.bytes.size())) << limit << " at " << at;
      got += piece.bytes;
      at = piece.next;
    }
    EXPECT_EQ(got, text.substr(0, head) + text.substr(text.size() - tail)) << limit;
    remove_kept_files(path("head"));
    EXPECT_TRUE(std::filesystem::is_empty(folder));
  }
}

/// A copy on disk, begun at any moment, is at each later one what a reader of the capture itself gets; and it goes.
TEST_F(Captures, WrittenOutIsReadLikeTheRest) {
  std::mt19937 random(20'261'125);
  std::string text(200'000, '\0');
  for (char& c : text) c = static_cast<char>(random());
  for (const std::uint64_t limit : {1U, 2U, 999U, 50'000U, 65'536U, 65'537U, 150'000U, 1'000'000U}) {
    for (const std::size_t asked_at : {0U, 1U, 700U, 64'000U, 120'000U}) {
      Pipe pipe;
      Capture capture(std::move(pipe.read), limit, path("head"));
      if (asked_at == 0) capture.write_out();
      EXPECT_TRUE(std::filesystem::is_empty(folder)) << "nothing has been written yet";
      std::size_t at = 0;
      const auto write_to = [&](std::size_t end) {
        ASSERT_EQ(::write(pipe.write.get(), text.data() + at, end - at), static_cast<ssize_t>(end - at));
        capture.drain();
        at = end;
      };
      while (at < text.size()) {
        const std::size_t end = std::min<std::size_t>(at + 1 + random() % 40'000, text.size());
        if (at < asked_at && end >= asked_at) {
          write_to(asked_at);
          capture.write_out();
        }
        if (at < end) write_to(end);
        if (at < asked_at) continue;
        ASSERT_TRUE(capture.on_disk());
        ASSERT_EQ(found_bytes(path("head"), at), at) << limit << " from " << asked_at;
        for (std::uint64_t offset = 0; offset <= at; offset += 1 + at / 3) {
          const KeptPiece expected = capture.read(offset, 10'000);
          const KeptPiece got = read_kept_files(path("head"), at, offset, 10'000);
          ASSERT_EQ(got.bytes, expected.bytes) << limit << " from " << asked_at << ": " << offset << " of " << at;
          ASSERT_EQ(got.offset, expected.offset);
        }
      }
      capture.close();
      const KeptStream kept = capture.take_result();
      EXPECT_EQ(kept.in_file, limit > limits::output_inline_bytes_max);
      capture.remove_copy();
      EXPECT_EQ(std::filesystem::is_empty(folder), !kept.in_file);
      remove_kept_files(path("head"));
    }
  }
  Pipe pipe;
  Capture unwritable(std::move(pipe.read), 100, path("no folder/head"));
  unwritable.write_out();
  ASSERT_EQ(::write(pipe.write.get(), "12345", 5), 5);
  unwritable.drain();
  EXPECT_FALSE(unwritable.on_disk());
  EXPECT_EQ(unwritable.read(0, 100).bytes, "12345");
}

/// What a power cut or a person takes from the files is told; it never looks like a shorter or an empty output.
TEST_F(Captures, FilesThatHoldLessThanWasRecordedAreLost) {
  const std::string text(300'000, 'x');
  for (const std::uint64_t limit : {100'000U, 250'000U, 1'000'000U}) {
    for (const bool tail_too : {false, true}) {
      Capture capture(UniqueFd(), limit, path("head"));
      capture.keep(text);
      capture.close();
      const KeptStream kept = capture.take_result();
      ASSERT_TRUE(kept.in_file);
      const OutputContent content{{kept.bytes, kept.truncated}, {}, true};
      const auto kind_of = [&](std::uint64_t offset) -> std::optional<ErrorKind> {
        try {
          static_cast<void>(read_kept(content, limit, path("head"), offset, 100));
          return std::nullopt;
        } catch (const Error& error) {
          EXPECT_NE(error.message().find("lost"), std::string::npos) << error.message();
          return error.kind();
        }
      };
      EXPECT_EQ(kind_of(0), std::nullopt);
      const bool has_tail = std::filesystem::exists(path("head.tail"));
      ASSERT_EQ(has_tail, limit != 1'000'000U);
      if (tail_too && !has_tail) continue;
      const std::string shortened = path(tail_too ? "head.tail" : "head");
      std::filesystem::resize_file(shortened, std::filesystem::file_size(shortened) - 1);
      EXPECT_EQ(kind_of(0), ErrorKind::purged) << limit;
      EXPECT_EQ(kind_of(299'999), ErrorKind::purged) << limit;
      remove_kept_files(path("head"));
      EXPECT_EQ(kind_of(0), ErrorKind::purged) << limit;
      std::ofstream(path("head")).close();
      EXPECT_EQ(kind_of(0), ErrorKind::purged) << limit;
      remove_kept_files(path("head"));
    }
  }
}

TEST_F(Captures, SpilledIsReadLikeWhatWasInMemory) {
  for (const std::uint64_t limit : {1U, 2U, 999U, 1'000U, 5'000U}) {
    for (const std::size_t bytes : {1U, 998U, 1'000U, 1'499U, 40'000U}) {
      std::string text(bytes, '\0');
      for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 7);
      Pipe pipe;
      Capture capture(std::move(pipe.read), limit, path("head"));
      ASSERT_EQ(::write(pipe.write.get(), text.data(), bytes), static_cast<ssize_t>(bytes));
      pipe.write.reset();
      while (capture.drain() != Capture::Drain::end) {
      }
      capture.close();
      KeptStream kept = capture.take_result();
      const OutputContent before{{kept.bytes, kept.truncated}, kept.content, false};
      ASSERT_TRUE(spill(kept, limit, path("head")));
      EXPECT_TRUE(kept.in_file && kept.content.empty());
      const OutputContent after{{kept.bytes, kept.truncated}, {}, true};
      for (std::uint64_t at = 0; at <= bytes; at += 1 + at / 3) {
        const KeptPiece expected = read_kept(before, limit, path("head"), at, 300);
        const KeptPiece got = read_kept(after, limit, path("head"), at, 300);
        EXPECT_EQ(got.bytes, expected.bytes) << limit << " of " << bytes << " at " << at;
        EXPECT_EQ(got.offset, expected.offset);
        EXPECT_EQ(got.next, expected.next);
      }
      remove_kept_files(path("head"));
    }
  }
  KeptStream nothing{5, true, false, {}};
  EXPECT_TRUE(spill(nothing, 0, path("head")));
  EXPECT_FALSE(nothing.in_file);
  KeptStream unwritable{5, false, false, "12345"};
  EXPECT_FALSE(spill(unwritable, 100, path("no folder/head")));
  EXPECT_EQ(unwritable.content, "12345");
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(Inputs, BackPressureAndRefusal) {
  Pipe pipe;
  Input input;
  input.offer(1, std::string(60'000, 'a'), false);
  input.offer(2, std::string(256U << 10U, 'b'), false);
  input.offer(3, std::string(256U << 10U, 'c'), true);
  input.open(std::move(pipe.write));
  const Input::Answers first = input.pump();
  EXPECT_EQ(first.accepted, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_TRUE(input.wants_to_write());
  EXPECT_EQ(input.offered(), 60'000U + (512U << 10U));
  pipe.read.reset();
  ::signal(SIGPIPE, SIG_IGN);
  const Input::Answers last = input.pump();
  EXPECT_EQ(last.refused, std::vector<std::uint64_t>{3});
  EXPECT_TRUE(input.is_closed());
}

TEST(Inputs, WithoutAskersOnlyWhatWasAcceptedOrBegunIsWritten) {
  Pipe pipe;
  ::fcntl(pipe.write.get(), F_SETPIPE_SZ, 4'096);
  Input input;
  input.offer(1, std::string(300U << 10U, 'a'), false);  // begun
  input.offer(2, "never", true);
  input.open(std::move(pipe.write));
  EXPECT_TRUE(input.pump().accepted.empty());
  EXPECT_TRUE(input.has_end());
  input.forget_askers();
  EXPECT_FALSE(input.has_end());
  EXPECT_EQ(input.offered(), 300U << 10U);
  input.offer(3, "b", true);
  std::string got;
  std::array<char, 8'192> buffer{};
  std::vector<std::uint64_t> accepted;
  for (ssize_t size = 1; size != 0;) {
    for (const std::uint64_t question : input.pump().accepted) accepted.push_back(question);
    size = ::read(pipe.read.get(), buffer.data(), buffer.size());
    if (size > 0) got.append(buffer.data(), static_cast<std::size_t>(size));
  }
  EXPECT_EQ(got, std::string(300U << 10U, 'a') + "b");
  EXPECT_EQ(accepted, std::vector<std::uint64_t>{3});
}

class Slots : public InScratch {};

TEST_F(Slots, SurviveAndSkipWhatIsNotTheirs) {
  SlotFile file(path("slots"));
  SlotRecord record;
  record.boot_id = boot_id();
  record.job = 5;
  record.state = SlotState::begun;
  const std::size_t first = file.take().value();
  ASSERT_TRUE(file.write(first, record));
  record.job = 6;
  record.state = SlotState::ended;
  ASSERT_TRUE(file.write(file.take().value(), record));
  record.version = 99;
  ASSERT_TRUE(file.write(file.take().value(), record));
  EXPECT_EQ(file.read(first).job, 5U);
  EXPECT_EQ(file.read(77).state, SlotState::free);
  file.give_back(first);
  EXPECT_EQ(file.take(), first);
  std::ofstream(path("slots"), std::ios::app) << "torn";
  const auto records = read_slots(path("slots"));
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].job, 5U);
  EXPECT_EQ(records[1].job, 6U);
  EXPECT_TRUE(read_slots(path("no such file")).empty());
  EXPECT_TRUE(read_slots(path(".")).empty());
}

TEST_F(Slots, ThatCannotBeReadDoNotPassForNone) {
  SlotFile file(path("slots"));
  rlimit allowed{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &allowed), 0);
  const rlimit none{0, allowed.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_THROW(static_cast<void>(read_slots(path("slots"))), Error);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &allowed), 0);
}

TEST(Environments, JobsCannotForgeTheirMarker) {
  Begin begin;
  begin.run = {9, 2};
  begin.env = {{"STINT_JOB_ID", "1"}, {"STINT_OTHER", "kept"}, {"PATH", "/mine"}};
  Hello hello;
  hello.instance = "me";
  const auto env = make_environment(user_basics(), hello, begin);
  EXPECT_EQ(std::count(env.begin(), env.end(), "STINT_JOB_ID=9"), 1);
  EXPECT_EQ(std::count(env.begin(), env.end(), "STINT_JOB_ID=1"), 0);
  EXPECT_EQ(std::count(env.begin(), env.end(), "STINT_OTHER=kept"), 1);
  EXPECT_EQ(std::count_if(env.begin(), env.end(), [](const std::string& entry) { return entry.starts_with("PATH="); }), 1);
  EXPECT_EQ(search_path(user_basics(), begin), "/mine");
}

TEST(Spawner, WhatFailsOnItsWayHasNeverBegun) {
  Spawner spawner;
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  // The same launch serves one after the other.
  for (const auto& [program, cwd, failure] : std::vector<std::array<std::string, 3>>{
           {"/no/such/program", "/", "cannot execute '/no/such/program': No such file or directory"},
           {"/bin/true", "/", ""},
           {"/bin/true", "/no/such/place", "cannot enter the directory '/no/such/place': No such file or directory"},
           {"/bin/true", "/", ""}}) {
    SpawnPlan plan;
    plan.argv = {program};
    plan.cwd = cwd;
    plan.cwd_given = true;
    plan.out.output = plan.err.output = OutputKind::null;
    plan.null_fd = null.get();
    SpawnResult result = spawner.spawn(std::move(plan));
    ASSERT_FALSE(result.failure);
    int status = 0;
    ASSERT_EQ(::waitpid(result.pid, &status, 0), result.pid);
    EXPECT_EQ(has_begun(*result.launch), failure.empty());
    const auto found = failure_of(*result.launch);
    ASSERT_EQ(found.has_value(), !failure.empty());
    EXPECT_EQ(found ? found->message : "", failure);
    spawner.give_back(std::move(result.launch));
  }
}

TEST(Trees, MarkedStrangersAreFoundAndOthersAreNot) {
  Spawner spawner;
  std::vector<LaunchPtr> launches;
  const auto start = [&](std::vector<std::string> env) {
    SpawnPlan plan;
    plan.argv = {"/bin/sleep", "600"};
    plan.env = std::move(env);
    plan.cwd = "/";
    plan.out.output = plan.err.output = OutputKind::null;
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    plan.null_fd = null.get();
    SpawnResult result = spawner.spawn(std::move(plan));
    EXPECT_FALSE(result.failure);
    while (!has_begun(*result.launch)) std::this_thread::yield();
    launches.push_back(std::move(result.launch));
    return result.pid;
  };
  const pid_t mine = start({"STINT_INSTANCE=a", "STINT_JOB_ID=7", "STINT_ATTEMPT=1"});
  const pid_t other_attempt = start({"STINT_INSTANCE=a", "STINT_JOB_ID=7", "STINT_ATTEMPT=2"});
  const pid_t other_daemon = start({"STINT_INSTANCE=b", "STINT_JOB_ID=7", "STINT_ATTEMPT=1"});
  TreeMarks marks;
  marks.instance = "a";
  marks.job = 7;
  marks.attempt = 1;
  const auto found = find_trees({marks}, {});
  ASSERT_EQ(found[0].size(), 1U);
  EXPECT_EQ(found[0][0].pid, mine);
  kill_trees({marks}, [] {});
  int status = 0;
  EXPECT_EQ(::waitpid(mine, &status, WNOHANG), mine);
  for (const pid_t pid : {other_attempt, other_daemon}) {
    EXPECT_EQ(::waitpid(pid, &status, WNOHANG), 0);
    ::kill(pid, SIGKILL);
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  }
  // A session whose number a stranger's pid has now is not the run's session.
  TreeMarks stale;
  stale.session = ::getppid();
  EXPECT_TRUE(find_trees({stale}, {})[0].empty());
}

}  // namespace
}  // namespace stint::worker
