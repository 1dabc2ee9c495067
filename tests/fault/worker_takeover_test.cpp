// Programs that outlive their daemon: one daemon's executor and zygote vanish without a word, the next one takes over.
//
// A Daemon here is what a daemon has of programs, on an io_context of its own, which goes with it: nothing of it runs on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstddef>
#include <functional>
#include <set>

#include "common/open_files_limit.hpp"
#include "common/packet_link.hpp"
#include "common/slot_file.hpp"
#include "daemon/exec/worker_folders.hpp"
#include "daemon/exec/zygote_launch.hpp"
#include "tests/fault/program_bench.hpp"

namespace stint::test {

using namespace std::chrono_literals;
namespace {

struct Daemon {
  explicit Daemon(ProgramEra era) : subject(std::make_unique<ProgramSubject>(io, recorder, std::move(era))) {}

  void start(JobId id, JobSpec spec) {
    exec::Order order;
    order.id = id;
    order.attempt = 1;
    order.spec = std::make_shared<const JobSpec>(std::move(spec));
    subject->executor().start(std::move(order));
  }
  [[nodiscard]] bool wait_started(JobId id) {
    return run_until(io, [&] { return recorder.records[id].started > 0; });
  }
  [[nodiscard]] bool wait_ended(JobId id) {
    return run_until(io, [&] { return recorder.ended(id); });
  }
  [[nodiscard]] bool wait_returned(JobId id) {
    return run_until(io, [&] { return recorder.records[id].returned > 0; });
  }
  [[nodiscard]] bool wait_recovered() {
    return run_until(io, [&] { return subject->recovered(); });
  }
  const EndReport& end_of(JobId id) { return recorder.records[id].end; }

  boost::asio::io_context io{1};
  Recorder recorder;
  std::unique_ptr<ProgramSubject> subject;
};

class Takeover : public ::testing::Test {
 protected:
  ~Takeover() override {
    if (daemon) close();
    // Nothing may be left behind, whatever has failed.
    for (const pid_t pid : runners) ::kill(pid, SIGCONT);
    for (const auto& name : folders()) {
      if (const pid_t pid = pid_of(name); pid > 1 && is_runner(pid)) ::kill(pid, SIGKILL);
    }
  }

  /// The next daemon. `expected` as its store would have them.
  Daemon& begin(const std::vector<JobId>& expected = {}, bool rebooted = false) {
    ProgramEra era;
    era.folder = folder;
    era.runners = runner_count;
    era.slots = slots;
    era.epoch = ++epoch;
    era.rebooted = rebooted;
    for (const JobId id : expected) era.expected.push_back({id, 1});
    daemon = std::make_unique<Daemon>(std::move(era));
    return *daemon;
  }
  /// As kill -9 does it to the daemon; the zygote goes too.
  void vanish() {
    const pid_t zygote = daemon->subject->workers().zygote_pid();
    ::kill(zygote, SIGKILL);
    daemon.reset();
  }
  void close() {
    for (const auto& [id, record] : daemon->recorder.records) {
      if (record.ended > 0) daemon->subject->executor().on_recorded(id, 1);
    }
    bool done = false;
    daemon->subject->executor().close([&] { daemon->subject->release([&] { done = true; }); });
    EXPECT_TRUE(run_until(daemon->io, [&] { return done; })) << "close did not end";
    daemon.reset();
  }
  void detach() {
    bool done = false;
    daemon->subject->executor().detach([&] { daemon->subject->release([&] { done = true; }); });
    EXPECT_TRUE(run_until(daemon->io, [&] { return done; })) << "detach did not end";
    daemon.reset();
  }

  [[nodiscard]] std::string file(const std::string& name) const { return folder->path() / name; }
  [[nodiscard]] std::set<std::string> folders() const {
    std::set<std::string> names;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder->path() / "workers", ignored)) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }
  [[nodiscard]] pid_t pid_of(const std::string& worker) const {
    return std::atoi(read_file(file("workers/" + worker + "/lock")).c_str());
  }
  static bool is_runner(pid_t pid) { return read_file("/proc/" + std::to_string(pid) + "/comm") == "stint-runner\n"; }
  /// The runner of a job, by pid.
  pid_t runner_of(JobId id) {
    const pid_t pid = pid_of(daemon->recorder.records[id].start.worker);
    EXPECT_TRUE(is_runner(pid));
    return runners.emplace_back(pid);
  }
  [[nodiscard]] bool wait_gone(pid_t pid) {
    boost::asio::io_context idle;
    return poll_until(idle, [&] { return is_gone(pid); });
  }
  /// What the slot files say of a job, whoever wrote them.
  [[nodiscard]] SlotState slot_state(JobId id) const {
    for (const std::string& name : folders()) {
      for (const SlotRecord& record : read_slots(file("workers/" + name + "/slots"))) {
        if (record.job == id) return record.state;
      }
    }
    return SlotState::free;
  }
  [[nodiscard]] bool wait_slot_ended(JobId id) const {
    boost::asio::io_context idle;
    return poll_until(idle, [&] { return slot_state(id) == SlotState::ended; });
  }

  /// A FIFO by which a program is told to go on.
  void make_gate(const std::string& name) { ASSERT_EQ(::mkfifo(file(name).c_str(), 0600), 0); }
  void open_gate(const std::string& name) {
    UniqueFd gate;
    boost::asio::io_context idle;
    ASSERT_TRUE(poll_until(idle, [&] {
      gate.reset(::open(file(name).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
      return static_cast<bool>(gate);
    }));
  }
  /// Waits at its gate, then says its last words.
  [[nodiscard]] JobSpec gated(const std::string& name, const std::string& before, const std::string& after) const {
    return shell_job(before + "; read line < " + file(name) + "; " + after);
  }
  /// A double-forked process in a session of its own that notes its pid and ignores SIGTERM.
  [[nodiscard]] std::string stray(const std::string& name) const {
    const std::string path = file(name);
    return "(setsid sh -c 'trap \"\" TERM; echo $$ > " + path + ".new; mv " + path + ".new " + path +
           "; while :; do sleep 600; done' </dev/null >/dev/null 2>&1 &) ; while [ ! -e " + path + " ]; do sleep 0.01; done; ";
  }
  [[nodiscard]] pid_t pid_in(const std::string& name) const { return std::atoi(read_file(file(name)).c_str()); }

  /// All of a stream, wherever it is.
  [[nodiscard]] std::string output(JobId id, const EndReport& end, StreamName of = StreamName::out) const {
    const auto& content = of == StreamName::out ? end.stdout_content : end.stderr_content;
    if (!content) return "(none)";
    std::string all;
    for (std::uint64_t at = 0;;) {
      const KeptPiece piece =
          read_kept(*content, limits::output_limit_bytes_default, output_path(folder->path() / "out", id, 1, of), at, 1U << 20U);
      if (piece.bytes.empty()) return all;
      EXPECT_EQ(piece.offset, at);
      all += piece.bytes;
      at = piece.next;
    }
  }
  static std::string numbers(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      std::string number = std::to_string(i);
      text += std::string(7 - number.size(), '0') + number + "\n";
    }
    return text;
  }

  std::shared_ptr<ScratchFolder> folder = std::make_shared<ScratchFolder>();
  std::size_t runner_count = 2;
  std::uint32_t slots = 100;
  std::uint32_t epoch = 0;
  std::vector<pid_t> runners;
  std::unique_ptr<Daemon> daemon;
};

TEST_F(Takeover, WhatRunsGoesOnThreeDaemonsLater) {
  for (const char* gate : {"g1", "g2", "g3", "g4"}) make_gate(gate);
  begin();
  ASSERT_TRUE(run_until(daemon->io, [&] { return daemon->subject->programs().runners_up() == 2; }));
  daemon->start(1, gated("g1", "echo one; echo err >&2", "echo two; exit 11"));
  daemon->start(2, gated("g2", "seq -f %07.0f 0 29999", "seq -f %07.0f 30000 39999; exit 12"));
  daemon->start(3, gated("g3", "echo three", "exit 13"));
  daemon->start(4, gated("g4", "echo four", "kill -KILL $$"));
  std::map<JobId, exec::Started> started;
  for (const JobId id : {1UL, 2UL, 3UL, 4UL}) {
    ASSERT_TRUE(daemon->wait_started(id));
    started[id] = daemon->recorder.records[id].start;
  }
  std::vector<JobId> left{1, 2, 3, 4};
  for (const JobId over : {3UL, 1UL, 2UL}) {
    vanish();
    begin(left);
    ASSERT_TRUE(daemon->wait_recovered());
    for (const JobId id : left) {
      const auto& record = daemon->recorder.records[id];
      EXPECT_EQ(record.started, 1) << id;
      EXPECT_EQ(record.returned + record.ended, 0) << id;
      EXPECT_EQ(record.start.pid, started[id].pid);
      EXPECT_EQ(record.start.at, started[id].at);
      EXPECT_EQ(record.start.worker, started[id].worker);
    }
    // Those that live count; the folder of one that has ended goes, for all it had is on record.
    EXPECT_TRUE(poll_until(daemon->io, [&] { return daemon->subject->programs().runners_up() == 2 && folders().size() == 2; }));
    open_gate("g" + std::to_string(over));
    ASSERT_TRUE(daemon->wait_ended(over));
    EXPECT_EQ(ProgramBench::exit_code(daemon->end_of(over)), 10 + static_cast<int>(over));
    if (over == 1) {
      EXPECT_EQ(output(1, daemon->end_of(1)), "one\ntwo\n");
      EXPECT_EQ(output(1, daemon->end_of(1), StreamName::err), "err\n");
    }
    if (over == 2) {
      EXPECT_EQ(output(2, daemon->end_of(2)), numbers(40'000));
    }
    daemon->subject->executor().on_recorded(over, 1);
    std::erase(left, over);
  }
  // It takes starts as ever.
  daemon->start(5, shell_job("echo five"));
  ASSERT_TRUE(daemon->wait_ended(5));
  open_gate("g4");
  ASSERT_TRUE(daemon->wait_ended(4));
  EXPECT_EQ(ProgramBench::signal_of(daemon->end_of(4)), SIGKILL);
}

TEST_F(Takeover, WhatEndedMeanwhileIsToldWithAllItsOutput) {
  make_gate("small");
  make_gate("large");
  make_gate("stays");
  begin();
  daemon->start(1, gated("small", "echo before; echo err >&2", "echo after; exit 3"));
  daemon->start(2, gated("large", "seq -f %07.0f 0 19999", "seq -f %07.0f 20000 39999; exit 4"));
  daemon->start(3, gated("stays", "echo stays", "exit 5"));
  for (const JobId id : {1UL, 2UL, 3UL}) ASSERT_TRUE(daemon->wait_started(id));
  vanish();
  open_gate("small");
  open_gate("large");
  for (const JobId id : {1UL, 2UL}) ASSERT_TRUE(wait_slot_ended(id));
  begin({1, 2, 3});
  ASSERT_TRUE(daemon->wait_recovered());
  for (const JobId id : {1UL, 2UL}) {
    EXPECT_EQ(daemon->recorder.records[id].ended, 1);
    EXPECT_EQ(ProgramBench::exit_code(daemon->end_of(id)), static_cast<int>(id) + 2);
  }
  EXPECT_EQ(output(1, daemon->end_of(1)), "before\nafter\n");
  EXPECT_EQ(output(1, daemon->end_of(1), StreamName::err), "err\n");
  EXPECT_EQ(output(2, daemon->end_of(2)), numbers(40'000));
  ASSERT_TRUE(daemon->end_of(1).usage);
  // Told until it is on record, and then no more.
  daemon->subject->executor().on_recorded(1, 1);
  daemon->start(4, shell_job("exit 9"));
  ASSERT_TRUE(daemon->wait_ended(4));
  vanish();
  begin({2, 3, 4});
  ASSERT_TRUE(daemon->wait_recovered());
  EXPECT_EQ(daemon->recorder.records[1].ended, 0);
  EXPECT_EQ(output(2, daemon->end_of(2)), numbers(40'000));
  EXPECT_EQ(ProgramBench::exit_code(daemon->end_of(4)), 9);
  open_gate("stays");
  ASSERT_TRUE(daemon->wait_ended(3));
}

TEST_F(Takeover, ARunnerWithoutProgramsEndsAndItsFolderTells) {
  make_gate("gate");
  begin();
  daemon->start(1, gated("gate", "printf 0123456789", "exit 6"));
  ASSERT_TRUE(daemon->wait_started(1));
  JobSpec cut = gated("gate", "printf 0123456789", "exit 6");
  cut.shell = "printf 0123456789";
  cut.output_limit = 6;
  daemon->start(2, cut);
  ASSERT_TRUE(daemon->wait_ended(2));  // and not on record
  const pid_t first = runner_of(1);
  const pid_t second = runner_of(2);
  vanish();
  open_gate("gate");
  ASSERT_TRUE(wait_gone(first));
  ASSERT_TRUE(wait_gone(second));
  for (const bool again : {false, true}) {
    begin({1, 2});
    ASSERT_TRUE(daemon->wait_recovered());
    EXPECT_EQ(ProgramBench::exit_code(daemon->end_of(1)), 6);
    EXPECT_EQ(output(1, daemon->end_of(1)), "0123456789");
    const auto& content = daemon->end_of(2).stdout_content;
    ASSERT_TRUE(content);
    EXPECT_TRUE(content->in_file);
    EXPECT_TRUE(content->size.truncated);
    const std::string path = output_path(folder->path() / "out", 2, 1, StreamName::out);
    EXPECT_EQ(read_kept(*content, 6, path, 0, 100).bytes, "012");
    EXPECT_EQ(read_kept(*content, 6, path, 3, 100).bytes, "789");
    EXPECT_EQ(read_kept(*content, 6, path, 3, 100).offset, 7U);
    // New names never meet the old ones, whose folders stay until they are on record.
    ASSERT_TRUE(run_until(daemon->io, [&] { return daemon->subject->programs().runners_up() == 2; }));
    if (!again) vanish();
  }
  daemon->subject->executor().on_recorded(1, 1);
  daemon->subject->executor().on_recorded(2, 1);
  EXPECT_TRUE(poll_until(daemon->io, [&] { return folders().size() == 2; }));
}

TEST_F(Takeover, ATimeoutIsKeptMeanwhile) {
  begin();
  JobSpec spec = shell_job("trap '' TERM; echo ready; while :; do sleep 0.05; done");
  spec.timeout = 300ms;
  spec.grace = 100ms;
  daemon->start(1, spec);
  spec.grace = 600s;
  daemon->start(2, spec);
  for (const JobId id : {1UL, 2UL}) ASSERT_TRUE(daemon->wait_started(id));
  const auto started = daemon->recorder.records[1].start.at;
  vanish();
  ASSERT_TRUE(wait_slot_ended(1));
  begin({1, 2});
  ASSERT_TRUE(daemon->wait_recovered());
  EXPECT_TRUE(daemon->end_of(1).timed_out);
  EXPECT_EQ(ProgramBench::signal_of(daemon->end_of(1)), SIGKILL);
  EXPECT_GE(daemon->end_of(1).finished_at - started, 400ms);
  EXPECT_LT(daemon->end_of(1).finished_at - started, 10s);
  EXPECT_EQ(daemon->recorder.records[2].stopping, 1);
  daemon->subject->executor().stop(2, 1, true);
  ASSERT_TRUE(daemon->wait_ended(2));
  EXPECT_TRUE(daemon->end_of(2).timed_out);
}

TEST_F(Takeover, WhatIsNotDurableEndsAndWhatWaitsIsReturned) {
  runner_count = 1;
  slots = 2;
  make_gate("gate");
  begin();
  daemon->start(1, gated("gate", "echo durable", "exit 1"));
  JobSpec spec = shell_job("trap '' TERM; " + stray("stray") + "echo ready; sleep 600");
  spec.durable = false;
  daemon->start(2, spec);
  for (const JobId id : {1UL, 2UL}) ASSERT_TRUE(daemon->wait_started(id));
  for (const JobId id : {3UL, 4UL, 5UL}) daemon->start(id, shell_job("echo ran >> " + file("ran")));
  ASSERT_TRUE(poll_until(daemon->io, [&] { return std::filesystem::exists(file("stray")); }));
  const pid_t main_pid = *daemon->recorder.records[2].start.pid;
  const pid_t stray_pid = pid_in("stray");
  vanish();
  ASSERT_TRUE(wait_gone(main_pid));
  ASSERT_TRUE(wait_gone(stray_pid));
  begin({1, 3, 4, 5});
  ASSERT_TRUE(daemon->wait_recovered());
  for (const JobId id : {3UL, 4UL, 5UL}) EXPECT_EQ(daemon->recorder.records[id].returned, 1) << id;
  EXPECT_EQ(daemon->recorder.records[2].started + daemon->recorder.records[2].ended, 0);
  EXPECT_FALSE(std::filesystem::exists(file("ran")));
  // Its slot is taken, the others are not: the same attempts run now, once.
  for (const JobId id : {3UL, 4UL, 5UL}) daemon->start(id, shell_job("echo ran >> " + file("ran")));
  for (const JobId id : {3UL, 4UL, 5UL}) ASSERT_TRUE(daemon->wait_ended(id));
  EXPECT_EQ(read_file(file("ran")), "ran\nran\nran\n");
  open_gate("gate");
  ASSERT_TRUE(daemon->wait_ended(1));
}

TEST_F(Takeover, MoreAliveThanThereAreSlots) {
  runner_count = 1;
  slots = 3;
  make_gate("gate");
  begin();
  for (const JobId id : {1UL, 2UL, 3UL}) daemon->start(id, gated("gate", "echo up", "exit 0"));
  for (const JobId id : {1UL, 2UL, 3UL}) ASSERT_TRUE(daemon->wait_started(id));
  vanish();
  slots = 1;
  begin({1, 2, 3});
  ASSERT_TRUE(daemon->wait_recovered());
  daemon->start(4, shell_job("echo late"));
  for (const JobId id : {1UL, 2UL}) {
    daemon->subject->executor().stop(id, 1, true);
    ASSERT_TRUE(daemon->wait_ended(id));
  }
  EXPECT_EQ(daemon->recorder.records[4].started, 0);
  daemon->subject->executor().stop(3, 1, true);
  ASSERT_TRUE(daemon->wait_ended(4));
  EXPECT_EQ(daemon->recorder.order, (std::vector<JobId>{1, 2, 3, 4}));
}

TEST_F(Takeover, AStoppedRunnerIsWaitedForAndHoldsNothingUp) {
  make_gate("one");
  make_gate("two");
  begin();
  daemon->start(1, gated("one", "echo one", "exit 1"));
  ASSERT_TRUE(daemon->wait_started(1));
  daemon->start(2, gated("two", "echo two", "exit 2"));
  ASSERT_TRUE(daemon->wait_started(2));
  const pid_t stopped = runner_of(1);
  ASSERT_NE(stopped, runner_of(2));
  vanish();
  ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
  begin({1, 2, 3});
  ASSERT_TRUE(daemon->wait_started(2));
  // The other one serves already; what the stopped one may have is not concluded.
  daemon->start(4, shell_job("exit 4"));
  ASSERT_TRUE(daemon->wait_ended(4));
  EXPECT_FALSE(daemon->subject->recovered());
  const auto& records = daemon->recorder.records;
  EXPECT_FALSE(records.contains(1) || records.contains(3));
  bool signalled = false;
  daemon->subject->executor().signal(1, 1, SIGCONT, [&](std::optional<Error> error) {
    EXPECT_FALSE(error);
    signalled = true;
  });
  std::optional<exec::OutputPiece> piece;
  daemon->subject->executor().read_output({1, 1, StreamName::out, 0, 100, false},
                                          [&](std::optional<Error>, exec::OutputPiece got) { piece = std::move(got); });
  bool refused = false;
  daemon->subject->executor().write_input(3, 1, "x", false, [&](std::optional<Error> error) { refused = error.has_value(); });
  daemon->io.poll();
  EXPECT_FALSE(signalled || piece || refused);
  ASSERT_EQ(::kill(stopped, SIGCONT), 0);
  ASSERT_TRUE(daemon->wait_recovered());
  ASSERT_TRUE(run_until(daemon->io, [&] { return signalled && piece && refused; }));
  EXPECT_EQ(piece->bytes, "one\n");
  EXPECT_EQ(records.at(1).started, 1);
  EXPECT_EQ(records.at(3).returned, 1);
  open_gate("one");
  ASSERT_TRUE(daemon->wait_ended(1));
  EXPECT_EQ(ProgramBench::exit_code(daemon->end_of(1)), 1);
  open_gate("two");
  ASSERT_TRUE(daemon->wait_ended(2));
}

TEST_F(Takeover, AStopForWhatHasNotAnsweredIsKept) {
  runner_count = 1;
  begin();
  daemon->start(1, command_job({"sleep", "600"}));
  ASSERT_TRUE(daemon->wait_started(1));
  const pid_t stopped = runner_of(1);
  vanish();
  ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
  begin({1});
  daemon->subject->executor().stop(1, 1, false);
  daemon->io.poll();
  ASSERT_EQ(::kill(stopped, SIGCONT), 0);
  ASSERT_TRUE(daemon->wait_ended(1));
  EXPECT_TRUE(daemon->end_of(1).stopped);
}

TEST_F(Takeover, DaemonsThatComeAndGoWhileARunnerIsStopped) {
  runner_count = 1;
  make_gate("gate");
  begin();
  daemon->start(1, gated("gate", "echo up", "exit 8"));
  ASSERT_TRUE(daemon->wait_started(1));
  const pid_t stopped = runner_of(1);
  vanish();
  ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
  for (int i = 0; i < 12; ++i) {
    begin({1});
    // It has connected when the runners that it needs beside are not asked for any more.
    ASSERT_TRUE(poll_until(daemon->io, [&] { return daemon->subject->workers().surveyed(); }));
    daemon->io.poll();
    vanish();
  }
  begin({1});
  ASSERT_TRUE(poll_until(daemon->io, [&] { return daemon->subject->workers().surveyed(); }));
  ASSERT_EQ(::kill(stopped, SIGCONT), 0);
  ASSERT_TRUE(daemon->wait_recovered());
  EXPECT_EQ(daemon->recorder.records[1].started, 1);
  open_gate("gate");
  ASSERT_TRUE(daemon->wait_ended(1));
  EXPECT_EQ(ProgramBench::exit_code(daemon->end_of(1)), 8);
}

TEST_F(Takeover, ARunnerKilledWhileNoDaemonIsThere) {
  runner_count = 1;
  make_gate("gate");
  begin();
  daemon->start(1, shell_job("trap '' TERM; " + stray("stray") + "echo ready; sleep 600"));
  daemon->start(2, gated("gate", "echo small", "exit 2"));
  for (const JobId id : {1UL, 2UL}) ASSERT_TRUE(daemon->wait_started(id));
  ASSERT_TRUE(poll_until(daemon->io, [&] { return std::filesystem::exists(file("stray")); }));
  const pid_t main_pid = *daemon->recorder.records[1].start.pid;
  const pid_t stray_pid = pid_in("stray");
  const pid_t runner = runner_of(1);
  vanish();
  open_gate("gate");
  ASSERT_TRUE(wait_slot_ended(2));
  ASSERT_EQ(::kill(runner, SIGKILL), 0);
  begin({1, 2, 3});
  ASSERT_TRUE(daemon->wait_recovered());
  EXPECT_TRUE(std::holds_alternative<EndReport::Lost>(daemon->end_of(1).ending));
  EXPECT_TRUE(is_gone(main_pid));
  EXPECT_TRUE(is_gone(stray_pid));
  EXPECT_EQ(ProgramBench::exit_code(daemon->end_of(2)), 2);
  EXPECT_EQ(output(2, daemon->end_of(2)), "small\n");
  EXPECT_EQ(daemon->recorder.records[3].returned, 1);
  daemon->start(3, shell_job("exit 3"));
  ASSERT_TRUE(daemon->wait_ended(3));
}

TEST_F(Takeover, ARunnerKilledAfterIt) {
  runner_count = 1;
  begin();
  daemon->start(1, shell_job("trap '' TERM; " + stray("stray") + "echo ready; sleep 600"));
  ASSERT_TRUE(daemon->wait_started(1));
  ASSERT_TRUE(poll_until(daemon->io, [&] { return std::filesystem::exists(file("stray")); }));
  const pid_t stray_pid = pid_in("stray");
  const pid_t runner = runner_of(1);
  vanish();
  begin({1});
  ASSERT_TRUE(daemon->wait_recovered());
  daemon->start(2, shell_job("sleep 600"));
  ASSERT_TRUE(daemon->wait_started(2));
  EXPECT_EQ(runner_of(2), runner);
  ASSERT_EQ(::kill(runner, SIGKILL), 0);
  for (const JobId id : {1UL, 2UL}) {
    ASSERT_TRUE(daemon->wait_ended(id));
    EXPECT_TRUE(std::holds_alternative<EndReport::Lost>(daemon->end_of(id).ending));
    EXPECT_TRUE(is_gone(*daemon->recorder.records[id].start.pid));
  }
  EXPECT_TRUE(is_gone(stray_pid));
  daemon->start(3, shell_job("exit 3"));
  ASSERT_TRUE(daemon->wait_ended(3));
}

TEST_F(Takeover, ARunnerKilledBeforeItAnswers) {
  runner_count = 1;
  begin();
  daemon->start(1, shell_job("sleep 600"));
  ASSERT_TRUE(daemon->wait_started(1));
  const pid_t runner = runner_of(1);
  const pid_t main_pid = *daemon->recorder.records[1].start.pid;
  vanish();
  ASSERT_EQ(::kill(runner, SIGSTOP), 0);
  begin({1, 2});
  ASSERT_TRUE(poll_until(daemon->io, [&] { return daemon->subject->workers().surveyed(); }));
  ASSERT_EQ(::kill(runner, SIGKILL), 0);
  ASSERT_TRUE(daemon->wait_recovered());
  EXPECT_TRUE(std::holds_alternative<EndReport::Lost>(daemon->end_of(1).ending));
  EXPECT_TRUE(is_gone(main_pid));
  EXPECT_EQ(daemon->recorder.records[2].returned, 1);
}

TEST_F(Takeover, WhatIsNotExpectedIsKilledAndForgotten) {
  runner_count = 1;
  begin();
  daemon->start(1, shell_job("trap '' TERM; " + stray("stray") + "echo ready; sleep 600"));
  daemon->start(2, shell_job("exit 2"));
  ASSERT_TRUE(daemon->wait_started(1));
  ASSERT_TRUE(daemon->wait_ended(2));
  ASSERT_TRUE(poll_until(daemon->io, [&] { return std::filesystem::exists(file("stray")); }));
  const pid_t main_pid = *daemon->recorder.records[1].start.pid;
  const pid_t stray_pid = pid_in("stray");
  vanish();
  slots = 1;
  begin({});
  ASSERT_TRUE(daemon->wait_recovered());
  daemon->start(3, shell_job("exit 3"));  // gets the slot that comes free
  ASSERT_TRUE(daemon->wait_ended(3));
  EXPECT_TRUE(is_gone(main_pid));
  EXPECT_TRUE(is_gone(stray_pid));
  for (const JobId id : {1UL, 2UL}) EXPECT_FALSE(daemon->recorder.records.contains(id)) << id;
}

TEST_F(Takeover, AfterARestartOfTheMachineWhatNobodyKnowsIsLost) {
  begin({1, 2}, true);
  ASSERT_TRUE(daemon->wait_recovered());
  for (const JobId id : {1UL, 2UL}) {
    const auto* lost = std::get_if<EndReport::Lost>(&daemon->end_of(id).ending);
    ASSERT_NE(lost, nullptr);
    EXPECT_EQ(lost->message, "the machine was restarted while it ran");
  }
}

TEST_F(Takeover, DetachedRunnersGoOnAndOthersEnd) {
  make_gate("gate");
  begin();
  daemon->start(1, gated("gate", "echo up", "exit 1"));
  ASSERT_TRUE(daemon->wait_started(1));
  JobSpec spec = shell_job("sleep 600");
  spec.durable = false;
  daemon->start(2, spec);
  ASSERT_TRUE(daemon->wait_started(2));
  const pid_t staying = runner_of(1);
  const pid_t ending = runner_of(2);
  ASSERT_NE(staying, ending);
  Recorder& recorder = daemon->recorder;
  bool done = false;
  daemon->subject->executor().detach([&] { daemon->subject->release([&] { done = true; }); });
  ASSERT_TRUE(run_until(daemon->io, [&] { return done; }));
  EXPECT_EQ(recorder.records[1].ended, 0);
  EXPECT_TRUE(recorder.records[2].end.stopped);
  EXPECT_TRUE(is_gone(ending));
  EXPECT_FALSE(is_gone(staying));
  daemon.reset();
  begin({1});
  ASSERT_TRUE(daemon->wait_recovered());
  EXPECT_EQ(daemon->recorder.records[1].started, 1);
  open_gate("gate");
  ASSERT_TRUE(daemon->wait_ended(1));
  EXPECT_EQ(output(1, daemon->end_of(1)), "up\n");
}

TEST_F(Takeover, DetachWhileARunnerHasNotAnswered) {
  runner_count = 1;
  make_gate("gate");
  begin();
  daemon->start(1, gated("gate", "echo up", "exit 1"));
  ASSERT_TRUE(daemon->wait_started(1));
  const pid_t stopped = runner_of(1);
  vanish();
  ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
  begin({1, 2});
  ASSERT_TRUE(poll_until(daemon->io, [&] { return daemon->subject->workers().surveyed(); }));
  detach();
  begin({1, 2});
  detach();  // before anything is known
  ASSERT_EQ(::kill(stopped, SIGCONT), 0);
  begin({1, 2});
  ASSERT_TRUE(daemon->wait_recovered());
  EXPECT_EQ(daemon->recorder.records[1].started, 1);
  EXPECT_EQ(daemon->recorder.records[2].returned, 1);
  open_gate("gate");
  ASSERT_TRUE(daemon->wait_ended(1));
}

/// Shuts each connection that this process has to a runner, as if it had broken by itself.
void cut_connections() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::atoi(entry.path().filename().c_str());
    sockaddr_un peer{};
    socklen_t size = sizeof peer;
    int type = 0;
    socklen_t type_size = sizeof type;
    const bool named = ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 && peer.sun_family == AF_UNIX &&
                       size > offsetof(sockaddr_un, sun_path) && peer.sun_path[0] != 0;
    if (named && ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == SOCK_SEQPACKET) {
      ::shutdown(fd, SHUT_RDWR);
    }
  }
}

TEST_F(Takeover, AConnectionThatBreaksIsMadeAnew) {
  runner_count = 1;
  slots = 4;
  make_gate("gate");
  make_gate("never");
  begin();
  daemon->start(1, gated("gate", "echo up", "echo down; exit 1"));
  daemon->start(2, command_job({"sleep", "600"}));
  JobSpec fleeting = command_job({"sleep", "600"});
  fleeting.durable = false;
  daemon->start(3, fleeting);
  daemon->start(4, gated("never", "true", "true"));
  for (const JobId id : {1U, 2U, 3U, 4U}) ASSERT_TRUE(daemon->wait_started(id));
  daemon->start(5, shell_job("exit 5"));  // waits there for a slot
  const pid_t runner = runner_of(1);
  std::string followed;
  std::function<void(std::uint64_t)> follow = [&](std::uint64_t at) {
    daemon->subject->executor().read_output({1, 1, StreamName::out, at, 100, true},
                                            [&](const std::optional<Error>& error, const exec::OutputPiece& piece) {
                                              if (error) return;  // it has ended
                                              followed += piece.bytes;
                                              if (!piece.end) follow(piece.next);
                                            });
  };
  follow(0);
  ASSERT_TRUE(run_until(daemon->io, [&] { return followed == "up\n"; }));
  cut_connections();
  daemon->subject->executor().stop(2, 1, false);  // goes nowhere, and is not forgotten
  ASSERT_TRUE(daemon->wait_ended(2));
  EXPECT_TRUE(daemon->end_of(2).stopped);
  ASSERT_TRUE(daemon->wait_ended(3));
  EXPECT_EQ(ProgramBench::signal_of(daemon->end_of(3)), SIGKILL);  // for all that its runner knew, the daemon was gone
  ASSERT_TRUE(daemon->wait_returned(5));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(run_until(daemon->io, [&] { return daemon->subject->programs().runners_up() == 1; }));
    cut_connections();
    ASSERT_TRUE(run_until(daemon->io, [&] { return daemon->subject->programs().runners_up() == 0; }));
  }
  ASSERT_TRUE(run_until(daemon->io, [&] { return daemon->subject->programs().runners_up() == 1; }));
  daemon->start(6, shell_job("exit 6"));
  ASSERT_TRUE(daemon->wait_ended(6));
  EXPECT_EQ(ProgramBench::exit_code(daemon->end_of(6)), 6);
  EXPECT_EQ(daemon->recorder.records[6].start.worker, daemon->recorder.records[1].start.worker);
  open_gate("gate");
  ASSERT_TRUE(daemon->wait_ended(1));
  EXPECT_EQ(ProgramBench::exit_code(daemon->end_of(1)), 1);
  EXPECT_EQ(output(1, daemon->end_of(1)), "up\ndown\n");
  EXPECT_EQ(followed.substr(0, 3), "up\n");
  // It dies while it cannot be heard: what it has is told by its file.
  cut_connections();
  ASSERT_EQ(::kill(runner, SIGKILL), 0);
  ASSERT_TRUE(daemon->wait_ended(4));
  EXPECT_TRUE(std::holds_alternative<EndReport::Lost>(daemon->end_of(4).ending));
  for (const JobId id : {1U, 2U, 3U, 4U, 6U}) EXPECT_EQ(daemon->recorder.records[id].ended, 1) << id;
}

TEST_F(Takeover, ARunnerWhoseDaemonEndsBeforeItHasComeEndsWithIt) {
  for (const bool killed : {false, true}) {
    boost::asio::io_context io{1};
    const std::string name = killed ? "runner-2" : "runner-1";
    std::optional<exec::Zygote> zygote(std::in_place, io, STINT_TEST_WORKER, folder->path(), open_files_limit());
    worker::PacketLink control(zygote->take_control());
    control.post(worker::SpawnWorker{worker::WorkerRole::runner, name});
    ASSERT_EQ(control.flush(), worker::PacketLink::Flush::done);
    pid_t runner = 0;
    ASSERT_TRUE(poll_until(io, [&] {
      control.receive([&](const worker::FrameView& frame) { runner = worker::decode<worker::Spawned>(frame).pid; });
      return runner != 0;
    }));
    runners.push_back(runner);
    ASSERT_TRUE(poll_until(io, [&] { return is_runner(runner); }));
    if (killed) {
      zygote.reset();  // as one that the kernel kills
    } else {
      control.close();
    }
    EXPECT_TRUE(poll_until(
        io, [&] { return is_gone(runner); }, 10s))
        << (killed ? "killed" : "in order");
  }
  begin();
  EXPECT_TRUE(daemon->wait_recovered());
}

TEST_F(Takeover, OnlyALargerEpochIsServed) {
  runner_count = 1;
  epoch = 6;
  begin();  // 7
  daemon->start(1, shell_job("sleep 600"));
  ASSERT_TRUE(daemon->wait_started(1));
  const std::string name = daemon->recorder.records[1].start.worker;
  const auto answer = [&](std::uint32_t claimed) {
    worker::PacketLink link(exec::connect_worker(folder->path(), name));
    EXPECT_TRUE(link.is_open());
    worker::Hello hello;
    hello.epoch = claimed;
    hello.instance = "another";
    hello.out_dir = folder->path() / "out";
    link.set_epoch(claimed);
    link.post(hello);
    EXPECT_EQ(link.flush(), worker::PacketLink::Flush::done);
    std::vector<worker::FrameKind> kinds;
    bool over = false;
    EXPECT_TRUE(poll_until(daemon->io, [&] {
      over = link.receive([&](const worker::FrameView& frame) { kinds.push_back(frame.kind); }) ==
             worker::PacketLink::Receive::closed;
      return over || (!kinds.empty() && kinds.back() == worker::FrameKind::welcome);
    }));
    EXPECT_EQ(over, kinds.empty());
    return kinds;
  };
  EXPECT_TRUE(answer(0).empty());
  EXPECT_TRUE(answer(6).empty());
  EXPECT_TRUE(answer(7).empty());
  // The daemon that is there has noticed nothing.
  daemon->start(2, shell_job("exit 2"));
  ASSERT_TRUE(daemon->wait_ended(2));
  EXPECT_EQ(answer(8),
            (std::vector<worker::FrameKind>{worker::FrameKind::started, worker::FrameKind::ended, worker::FrameKind::welcome}));
  ASSERT_TRUE(run_until(daemon->io, [&] { return daemon->subject->programs().runners_up() == 0; }));
  // The mark of its programs stays that of its first daemon.
  EXPECT_NE(read_file(file("workers/" + name + "/instance")), "another");
  vanish();
  epoch = 8;
  begin({1});
  ASSERT_TRUE(daemon->wait_recovered());
  EXPECT_EQ(daemon->recorder.records[1].started, 1);
}

}  // namespace
}  // namespace stint::test
