// Trees, timeouts and deaths: of programs, of what they leave behind, of runners, of the zygote.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/fault/program_bench.hpp"

namespace stint::test {

using namespace std::chrono_literals;
namespace {

class Kills : public ::testing::Test {
 protected:
  /// A shell line that leaves a double-forked process in a session of its own, which notes its pid in `file`, ignores
  /// SIGTERM, and keeps none of its parent's descriptors.
  static std::string stray(const std::string& file) {
    return "(setsid sh -c 'trap \"\" TERM; echo $$ > " + file + ".new; mv " + file + ".new " + file +
           "; while :; do sleep 600; done' </dev/null >/dev/null 2>&1 &) ; while [ ! -e " + file + " ]; do sleep 0.01; done; ";
  }
  static pid_t pid_in(const std::string& file) { return std::atoi(read_file(file).c_str()); }

  std::string file(const std::string& name) { return bench.programs().state() / name; }
  /// Starts a job that has a stray and goes on for ever; waits until it is there.
  JobId start_with_stray(const std::string& name) {
    const JobId id = bench.start(shell_job("trap '' TERM; " + stray(file(name)) + "echo ready; sleep 600"));
    EXPECT_TRUE(bench.wait_started(id));
    bench.follow_until(id, "ready");
    return id;
  }

  ProgramBench bench{2};
};

TEST_F(Kills, LeftoversEndWithTheirProgram) {
  const EndReport& end = bench.run(shell_job(stray(file("stray")) + "echo main done"));
  EXPECT_EQ(ProgramBench::exit_code(end), 0);
  EXPECT_EQ(ProgramBench::out(end), "main done\n");
  EXPECT_TRUE(is_gone(pid_in(file("stray"))));
  // It ignored SIGTERM, so it took the second that it has.
  EXPECT_LT(end.finished_at - bench.recorder.records[1].start.at, 900ms);
}

TEST_F(Kills, OutputOfABackgroundChildIsDrained) {
  const EndReport& end =
      bench.run(shell_job("(trap 'echo last words; exit' TERM; echo begun; while :; do sleep 0.01; done) & "
                          "while [ -z \"$done\" ]; do sleep 0.2; done=1; done; echo parent"));
  EXPECT_EQ(ProgramBench::exit_code(end), 0);
  EXPECT_NE(ProgramBench::out(end).find("parent\n"), std::string::npos);
  EXPECT_NE(ProgramBench::out(end).find("last words\n"), std::string::npos);
}

TEST_F(Kills, LeftoversMayBeKept) {
  JobSpec spec = shell_job(stray(file("stray")) + "echo main done");
  spec.leftovers = Leftovers::keep;
  EXPECT_EQ(ProgramBench::exit_code(bench.run(spec)), 0);
  const pid_t kept = pid_in(file("stray"));
  EXPECT_FALSE(is_gone(kept));
  // It is in nobody's way: others end as usual beside it.
  EXPECT_EQ(ProgramBench::exit_code(bench.run(shell_job("exit 3"))), 3);
  EXPECT_FALSE(is_gone(kept));
  ::kill(-kept, SIGKILL);  // its session has its group
}

TEST_F(Kills, TimeoutThenGraceThenSigkillForTheWholeTree) {
  JobSpec spec = shell_job("trap '' TERM; " + stray(file("stray")) + "sleep 600");
  spec.timeout = 700ms;
  spec.grace = 200ms;
  const EndReport& end = bench.run(spec);
  EXPECT_TRUE(end.timed_out);
  EXPECT_FALSE(end.stopped);
  EXPECT_EQ(ProgramBench::signal_of(end), SIGKILL);
  EXPECT_EQ(bench.recorder.records[1].stopping, 1);
  EXPECT_TRUE(is_gone(pid_in(file("stray"))));
}

TEST_F(Kills, CancelledKeepsItsLastWords) {
  const JobId id = bench.start(shell_job("trap 'echo last words; exit 5' TERM; echo ready; while :; do sleep 0.01; done"));
  ASSERT_TRUE(bench.wait_started(id));
  bench.follow_until(id, "ready");
  bench.stop(id);
  ASSERT_TRUE(bench.wait_ended(id));
  const EndReport& end = bench.recorder.records[id].end;
  EXPECT_TRUE(end.stopped);
  EXPECT_EQ(ProgramBench::exit_code(end), 5);
  EXPECT_EQ(ProgramBench::out(end), "ready\nlast words\n");
}

TEST_F(Kills, OneCancelledTheOthersStrayLives) {
  bench.close();
  ProgramBench single{1};
  const auto start = [&](const std::string& name) {
    const std::string path = single.programs().state() / name;
    JobSpec spec = shell_job("trap '' TERM; " + stray(path) + "echo ready; sleep 600");
    spec.grace = 100ms;
    const JobId id = single.start(spec);
    EXPECT_TRUE(single.wait_started(id));
    single.follow_until(id, "ready");
    return id;
  };
  const JobId first = start("first");
  const JobId second = start("second");
  const pid_t first_stray = pid_in(single.programs().state() / "first");
  const pid_t second_stray = pid_in(single.programs().state() / "second");
  single.stop(first);
  ASSERT_TRUE(single.wait_ended(first));
  EXPECT_TRUE(is_gone(first_stray));
  EXPECT_FALSE(is_gone(second_stray));
  EXPECT_FALSE(single.recorder.ended(second));
  single.stop(second, true);
  ASSERT_TRUE(single.wait_ended(second));
  EXPECT_TRUE(is_gone(second_stray));
}

TEST_F(Kills, AForkingTreeIsCaught) {
  // Each generation forks the next and ends: nobody lives for long.
  std::ofstream(file("hopper")) << "#!/bin/sh\necho $$ > " << file("hop") << "\nexec setsid " << file("hopper2") << " &\n";
  std::ofstream(file("hopper2")) << "#!/bin/sh\nexec " << file("hopper") << "\n";
  for (const char* name : {"hopper", "hopper2"}) std::filesystem::permissions(file(name), std::filesystem::perms::owner_all);
  const JobId id = bench.start(shell_job(file("hopper") + "; echo ready; sleep 600"));
  ASSERT_TRUE(bench.wait_started(id));
  bench.follow_until(id, "ready");
  bench.stop(id, true);
  ASSERT_TRUE(bench.wait_ended(id));
  const std::string last = read_file(file("hop"));
  EXPECT_TRUE(is_gone(std::atoi(last.c_str())));
  EXPECT_EQ(ProgramBench::exit_code(bench.run(shell_job("sleep 0.1; exit 4"))), 4);
  EXPECT_EQ(read_file(file("hop")), last);
}

TEST_F(Kills, KilledRunnerLosesItsJobsAndNoOthers) {
  const JobId first = start_with_stray("first");
  const JobId second = start_with_stray("second");
  const std::string first_runner = bench.recorder.records[first].start.worker;
  ASSERT_NE(first_runner, bench.recorder.records[second].start.worker);
  const pid_t stray_pid = pid_in(file("first"));
  const pid_t main_pid = *bench.recorder.records[first].start.pid;
  const pid_t runner = std::atoi(read_file(bench.programs().state() / "workers" / first_runner / "lock").c_str());
  ASSERT_GT(runner, 1);
  ASSERT_EQ(::kill(runner, SIGKILL), 0);
  ASSERT_TRUE(bench.wait_ended(first));
  const auto* lost = std::get_if<EndReport::Lost>(&bench.recorder.records[first].end.ending);
  ASSERT_NE(lost, nullptr);
  EXPECT_NE(lost->message.find("SIGKILL"), std::string::npos);
  EXPECT_TRUE(is_gone(stray_pid));
  EXPECT_TRUE(is_gone(main_pid));
  // Its folder tells what became of the job until that is on record.
  EXPECT_TRUE(std::filesystem::exists(bench.programs().state() / "workers" / first_runner));
  bench.subject->executor().on_recorded(first, 1);
  ASSERT_TRUE(
      poll_until(bench.io, [&] { return !std::filesystem::exists(bench.programs().state() / "workers" / first_runner); }));
  EXPECT_FALSE(bench.recorder.ended(second));
  EXPECT_FALSE(is_gone(pid_in(file("second"))));
  ASSERT_TRUE(run_until(bench.io, [&] { return bench.programs().programs().runners_up() == 2; }));
  EXPECT_EQ(ProgramBench::exit_code(bench.run(command_job({"true"}))), 0);
  bench.stop(second, true);
  ASSERT_TRUE(bench.wait_ended(second));
}

TEST_F(Kills, KilledZygoteIsReplacedAndItsRunnersGoOn) {
  const JobId id = start_with_stray("stray");
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  const JobId other = bench.start(shell_job("read line < " + file("fifo") + "; exit $line"));
  const std::string runner = bench.recorder.records[id].start.worker;
  const pid_t stray_pid = pid_in(file("stray"));
  const pid_t zygote = bench.programs().workers().zygote_pid();
  ASSERT_EQ(::kill(zygote, SIGKILL), 0);
  ASSERT_TRUE(poll_until(bench.io, [&] { return bench.programs().workers().zygote_pid() != zygote; }));
  std::ofstream(file("fifo")) << "7\n";
  ASSERT_TRUE(bench.wait_ended(other));
  EXPECT_EQ(ProgramBench::exit_code(bench.recorder.records[other].end), 7);
  EXPECT_EQ(ProgramBench::exit_code(bench.run(command_job({"true"}))), 0);
  // The new zygote is not the runner's parent, and clears up after it all the same.
  ASSERT_EQ(::kill(std::atoi(read_file(bench.programs().state() / "workers" / runner / "lock").c_str()), SIGKILL), 0);
  ASSERT_TRUE(bench.wait_ended(id));
  EXPECT_TRUE(std::holds_alternative<EndReport::Lost>(bench.recorder.records[id].end.ending));
  EXPECT_TRUE(is_gone(stray_pid));
}

TEST_F(Kills, ZygoteKilledWhenItHasClearedADeadRunnerAndNotSaidSo) {
  bench.run(command_job({"true"}));
  ASSERT_TRUE(run_until(bench.io, [&] { return bench.programs().programs().runners_up() == 2; }));
  const std::string runner = bench.recorder.records.begin()->second.start.worker;
  const std::filesystem::path folder = bench.programs().state() / "workers" / runner;
  const pid_t pid = std::atoi(read_file(folder / "lock").c_str());
  const pid_t zygote = bench.programs().workers().zygote_pid();
  ASSERT_EQ(::kill(zygote, SIGSTOP), 0);
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  ASSERT_TRUE(poll_until(bench.io, [&] { return is_gone(pid); }));
  std::filesystem::remove_all(folder);
  ASSERT_EQ(::kill(zygote, SIGKILL), 0);
  ASSERT_TRUE(run_until(bench.io, [&] { return bench.programs().programs().runners_up() < 2; }));
  EXPECT_TRUE(run_until(bench.io, [&] { return bench.programs().programs().runners_up() == 2; }))
      << "nobody has told of its death";
}

TEST_F(Kills, WithoutItsDaemonARunnerEndsWhatIsNotDurable) {
  JobSpec spec = shell_job("trap '' TERM; " + stray(file("stray")) + "echo ready; sleep 600");
  spec.durable = false;
  const JobId id = bench.start(spec);
  ASSERT_TRUE(bench.wait_started(id));
  bench.follow_until(id, "ready");
  const pid_t main_pid = *bench.recorder.records[id].start.pid;
  const pid_t stray_pid = pid_in(file("stray"));
  // As if the daemon had been killed: all its descriptors close at once.
  bench.closed = true;
  bench.subject.reset();
  ASSERT_TRUE(poll_until(bench.io, [&] { return is_gone(main_pid) && is_gone(stray_pid); }));
}

}  // namespace
}  // namespace stint::test
