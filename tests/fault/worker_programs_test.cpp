// One program at a time: exit codes, what cannot be started, what a program finds, its input, its limits of time.
#include <gtest/gtest.h>

#include "tests/fault/program_bench.hpp"

namespace stint::test {
namespace {

class Programs : public ::testing::Test {
 protected:
  ProgramBench bench{1};
};

TEST_F(Programs, TrueRuns) {
  const EndReport& end = bench.run(command_job({"true"}));
  EXPECT_EQ(ProgramBench::exit_code(end), 0);
  ASSERT_TRUE(end.stdout_content);
  EXPECT_EQ(end.stdout_content->size.bytes, 0U);
  ASSERT_TRUE(end.usage);
  EXPECT_GT(end.usage->max_rss, 0U);
  EXPECT_EQ(bench.recorder.records[1].start.worker, "runner-1");
  EXPECT_TRUE(bench.recorder.records[1].start.pid);
}

TEST_F(Programs, ExitNineIsNotSigkill) {
  EXPECT_EQ(ProgramBench::exit_code(bench.run(shell_job("exit 9"))), 9);
  EXPECT_EQ(ProgramBench::signal_of(bench.run(shell_job("kill -9 $$"))), SIGKILL);
  EXPECT_EQ(ProgramBench::exit_code(bench.run(shell_job("exit 255"))), 255);
  EXPECT_EQ(ProgramBench::signal_of(bench.run(shell_job("kill -TERM $$"))), SIGTERM);
}

TEST_F(Programs, NotFoundAndNotExecutable) {
  const EndReport missing = bench.run(command_job({"no-such-program-here"}));
  EXPECT_EQ(ProgramBench::failure(missing).exit_code, 127);
  EXPECT_EQ(ProgramBench::failure(missing).error.kind, "spawn");
  EXPECT_NE(ProgramBench::failure(missing).error.message.find("no-such-program-here"), std::string::npos);

  EXPECT_EQ(ProgramBench::failure(bench.run(command_job({"/no/such/program"}))).exit_code, 127);
  EXPECT_EQ(ProgramBench::failure(bench.run(command_job({"/etc/passwd"}))).exit_code, 126);
  EXPECT_EQ(ProgramBench::failure(bench.run(command_job({"/tmp"}))).exit_code, 126);

  const std::string script = bench.programs().state() / "script";
  std::ofstream(script) << "#!/no/such/interpreter\n";
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  const EndReport broken = bench.run(command_job({script}));
  EXPECT_EQ(ProgramBench::failure(broken).exit_code, 127);
  EXPECT_NE(ProgramBench::failure(broken).error.message.find("interpreter"), std::string::npos);
}

TEST_F(Programs, ThePathIsTheJobs) {
  JobSpec spec = command_job({"mine"});
  std::ofstream(bench.programs().state() / "mine") << "#!/bin/sh\necho mine\n";
  std::filesystem::permissions(bench.programs().state() / "mine", std::filesystem::perms::owner_all);
  spec.env["PATH"] = "/nowhere:" + bench.programs().state().string();
  EXPECT_EQ(ProgramBench::out(bench.run(spec)), "mine\n");
}

TEST_F(Programs, StepsThatFailAreNamed) {
  JobSpec spec = command_job({"true"});
  spec.cwd = "/no/such/directory";
  const EndReport directory = bench.run(spec);
  EXPECT_EQ(ProgramBench::failure(directory).exit_code, 126);
  EXPECT_NE(ProgramBench::failure(directory).error.message.find("/no/such/directory"), std::string::npos);

  spec = command_job({"cat"});
  spec.stdin_source.source = StdinSource::File{"no-such-input"};
  spec.cwd = "/tmp";
  EXPECT_NE(ProgramBench::failure(bench.run(spec)).error.message.find("no-such-input"), std::string::npos);

  spec = command_job({"true"});
  spec.stderr_target.target = OutputTarget::File{"/no/such/directory/file", false};
  EXPECT_NE(ProgramBench::failure(bench.run(spec)).error.message.find("standard error"), std::string::npos);
}

TEST_F(Programs, ArgumentsThatTheKernelRefuses) {
  const EndReport end = bench.run(command_job({"true", std::string(1U << 20U, 'x')}));
  EXPECT_EQ(ProgramBench::failure(end).exit_code, 126);
  EXPECT_NE(ProgramBench::failure(end).error.message.find("too long"), std::string::npos);
}

TEST_F(Programs, DescriptorsAndDispositions) {
  const std::string listing = ProgramBench::out(bench.run(command_job({"ls", "-1", "/proc/self/fd"})));
  EXPECT_EQ(listing, "0\n1\n2\n3\n");  // 3 is the directory that ls reads

  const std::string status = ProgramBench::out(bench.run(command_job({"cat", "/proc/self/status"})));
  EXPECT_NE(status.find("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n"), std::string::npos)
      << status;

  // A session of its own, and the soft limit of open files that the daemon was given.
  EXPECT_EQ(ProgramBench::out(bench.run(shell_job("test $(ps -o sid= -p $$) = $$ && ulimit -Sn"))),
            ProgramBench::out(bench.run(shell_job("ulimit -Sn"))));
}

TEST_F(Programs, EnvironmentIsTheUsersAndTheJobs) {
  ::setenv("STINT_LEAK_TEST", "from the daemon", 1);
  JobSpec spec = command_job({"env"});
  spec.name = "a name";
  spec.group = "a group";
  spec.env["LANG"] = "xx_YY";
  spec.env["STINT_JOB_ID"] = "12345";  // not the job's to choose
  const std::string text = ProgramBench::out(bench.run(spec, "\"an item\""));
  ::unsetenv("STINT_LEAK_TEST");
  EXPECT_EQ(text.find("STINT_LEAK_TEST"), std::string::npos);
  for (const char* line :
       {"LANG=xx_YY\n", "STINT_JOB_ID=1\n", "STINT_ATTEMPT=1\n", "STINT_JOB_NAME=a name\n", "STINT_JOB_GROUP=a group\n",
        "STINT_ITEM=an item\n", "STINT_INSTANCE=test-", "STINT_SOCKET=", "HOME=", "PATH=", "USER=", "SHELL="}) {
    EXPECT_NE(("\n" + text).find(std::string("\n") + line), std::string::npos) << line;
  }
  spec.clean_env = true;
  const std::string clean = ProgramBench::out(bench.run(spec));
  EXPECT_EQ(clean.find("HOME="), std::string::npos);
  EXPECT_NE(clean.find("STINT_JOB_ID=2\n"), std::string::npos);
}

TEST_F(Programs, DirectoryUmaskAndFiles) {
  JobSpec spec = shell_job("pwd; umask; cat");
  spec.cwd = bench.programs().state();
  spec.umask = Umask{027};
  std::ofstream(bench.programs().state() / "input") << "from a file\n";
  spec.stdin_source.source = StdinSource::File{"input"};
  spec.stdout_target.target = OutputTarget::File{"output", false};
  const EndReport end = bench.run(spec);
  EXPECT_EQ(ProgramBench::exit_code(end), 0);
  EXPECT_FALSE(end.stdout_content);
  const std::filesystem::path output = bench.programs().state() / "output";
  EXPECT_EQ(read_file(output), std::filesystem::canonical(*spec.cwd).string() + "\n0027\nfrom a file\n");
  EXPECT_EQ(std::filesystem::status(output).permissions(), std::filesystem::perms(0640));

  spec = shell_job("echo more");
  spec.cwd = bench.programs().state();
  spec.stdout_target.target = OutputTarget::File{"output", true};
  bench.run(spec);
  EXPECT_NE(read_file(output).find("from a file\nmore\n"), std::string::npos);
}

TEST_F(Programs, GivenInput) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{5}, std::size_t{65'537}, std::size_t{8U << 20U}}) {
    JobSpec spec = command_job({"wc", "-c"});
    spec.stdin_source.source = StdinSource::Bytes{std::string(bytes, 'i')};
    EXPECT_EQ(ProgramBench::out(bench.run(spec)), std::to_string(bytes) + "\n");
  }
  // Who does not read it is not harmed, nor is the runner.
  JobSpec spec = command_job({"true"});
  spec.stdin_source.source = StdinSource::Bytes{std::string(1U << 20U, 'i')};
  EXPECT_EQ(ProgramBench::exit_code(bench.run(spec)), 0);
}

TEST_F(Programs, StreamedInput) {
  JobSpec spec = command_job({"cat"});
  spec.stdin_source.source = StdinSource::Stream{};
  const JobId id = bench.start(spec);
  int answers = 0;
  const auto accepted = [&](std::optional<Error> error) {
    EXPECT_FALSE(error) << error->message();
    ++answers;
  };
  bench.subject->executor().write_input(id, 1, {"one\n", false, {}}, accepted);  // it may not even run yet
  ASSERT_TRUE(bench.wait_started(id));
  EXPECT_EQ(bench.follow_until(id, "one\n"), "one\n");
  bench.subject->executor().write_input(id, 1, {"two\n", true, {}}, accepted);
  ASSERT_TRUE(bench.wait_ended(id));
  EXPECT_EQ(answers, 2);
  EXPECT_EQ(ProgramBench::out(bench.recorder.records[id].end), "one\ntwo\n");
}

TEST_F(Programs, InputHasBackPressureAndAnEnd) {
  JobSpec spec = shell_job("read line; exec <&-; echo closed; sleep 600");
  spec.stdin_source.source = StdinSource::Stream{};
  const JobId id = bench.start(spec);
  ASSERT_TRUE(bench.wait_started(id));
  // Past the pipe's 64 KiB and the buffer's 256 KiB nothing is accepted.
  int accepted = 0;
  int refused = 0;
  std::string word;
  const auto answer = [&](std::optional<Error> error) {
    (error ? refused : accepted)++;
    if (error) word = error->message();
  };
  for (int i = 0; i < 12; ++i) bench.subject->executor().write_input(id, 1, {std::string(64U << 10U, 'x'), false, {}}, answer);
  ASSERT_TRUE(run_until(bench.io, [&] { return accepted >= 4; }));
  EXPECT_LE(accepted, 6);
  EXPECT_EQ(refused, 0);
  bench.subject->executor().write_input(id, 1, {"\n", false, {}}, answer);
  bench.stop(id, true);
  ASSERT_TRUE(bench.wait_ended(id));
  EXPECT_GE(refused, 6);
  EXPECT_EQ(word, "its standard input is closed");
}

TEST_F(Programs, SignalsGoToTheGroup) {
  const JobId id = bench.start(shell_job("trap 'echo caught; exit 7' USR1; echo ready; while :; do sleep 0.01; done"));
  ASSERT_TRUE(bench.wait_started(id));
  bench.follow_until(id, "ready");
  bool done = false;
  bench.subject->executor().signal(id, 1, SIGUSR1, [&](std::optional<Error> error) {
    EXPECT_FALSE(error);
    done = true;
  });
  ASSERT_TRUE(bench.wait_ended(id));
  EXPECT_TRUE(done);
  EXPECT_EQ(ProgramBench::signal_of(bench.recorder.records[id].end) == SIGUSR1 ||
                ProgramBench::exit_code(bench.recorder.records[id].end) == 7,
            true);
  std::optional<Error> refusal;
  bench.subject->executor().signal(id, 1, SIGUSR1, [&](std::optional<Error> error) { refusal = error; });
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->kind(), ErrorKind::not_found);
}

TEST_F(Programs, AThousandAtOnce) {
  for (int i = 0; i < 1'000; ++i) bench.start(command_job({"sleep", "1"}));
  ASSERT_TRUE(bench.wait_ends(1'000));
  for (const auto& [id, record] : bench.recorder.records) EXPECT_EQ(ProgramBench::exit_code(record.end), 0) << id;
}

}  // namespace
}  // namespace stint::test
