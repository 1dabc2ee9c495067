// Take-over in trouble: runners that are stopped, killed, cut off or never greeted while daemons come and go.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <functional>

#include "common/open_files_limit.hpp"
#include "common/packet_link.hpp"
#include "common/zygote_protocol.hpp"
#include "daemon/exec/worker_folders.hpp"
#include "daemon/exec/zygote_launch.hpp"
#include "tests/fault/takeover.hpp"

namespace stint::test {

using namespace std::chrono_literals;
namespace {

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
  stop(stopped);
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
  daemon->subject->executor().write_input(3, 1, {"x", false, {}},
                                          [&](std::optional<Error> error) { refused = error.has_value(); });
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
  stop(stopped);
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
  stop(stopped);
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
  stop(runner);
  begin({1, 2});
  ASSERT_TRUE(poll_until(daemon->io, [&] { return daemon->subject->workers().surveyed(); }));
  ASSERT_EQ(::kill(runner, SIGKILL), 0);
  ASSERT_TRUE(daemon->wait_recovered());
  EXPECT_TRUE(std::holds_alternative<EndReport::Lost>(daemon->end_of(1).ending));
  EXPECT_TRUE(is_gone(main_pid));
  EXPECT_EQ(daemon->recorder.records[2].returned, 1);
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
