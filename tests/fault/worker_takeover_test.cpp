// Programs that outlive their daemon: one daemon's executor and zygote vanish without a word, the next one takes over.
#include <gtest/gtest.h>

#include "tests/fault/takeover.hpp"

namespace stint::test {

using namespace std::chrono_literals;
namespace {

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

TEST_F(Takeover, InputThatWasNotAnsweredIsFedAgain) {
  begin();
  make_gate("go");
  JobSpec reader = shell_job("read line < " + file("go") + "; exec cat");
  reader.stdin_source.source = StdinSource::Stream{};
  daemon->start(1, std::move(reader));
  ASSERT_TRUE(daemon->wait_started(1));
  std::string all;
  const auto feed = [&](std::string bytes, bool end, std::optional<std::uint64_t> offset) {
    std::optional<std::optional<Error>> answer;
    daemon->subject->executor().write_input(1, 1, {std::move(bytes), end, offset},
                                            [&](std::optional<Error> error) { answer = error; });
    return run_until(daemon->io, [&] { return answer.has_value(); }) ? *answer : Error(ErrorKind::timed_out, "no answer");
  };
  for (char letter = 'a'; letter < 'd'; ++letter) {
    const std::string piece(100U << 10U, letter);
    EXPECT_FALSE(feed(piece, false, {}));
    all += piece;
  }
  // Begun, not begun: neither is answered, the program does not read.
  const std::string begun(100U << 10U, 'e');
  const std::string not_begun = "the end";
  for (const std::string& piece : {begun, not_begun}) {
    daemon->subject->executor().write_input(1, 1, {piece, piece == not_begun, {}}, [](std::optional<Error>) {});
  }
  vanish();
  begin({1});
  ASSERT_TRUE(daemon->wait_recovered());
  const auto gap = feed("x", false, all.size() + begun.size() + not_begun.size() + 1);
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->kind(), ErrorKind::conflict);
  open_gate("go");
  EXPECT_FALSE(feed(begun, false, all.size()));
  EXPECT_FALSE(feed(all.substr(all.size() - 5) + begun, false, all.size() - 5));
  all += begun;
  EXPECT_FALSE(feed(not_begun, true, all.size()));
  all += not_begun;
  // The end was fed before, too; only what would be new comes too late.
  const auto late = feed("more", false, all.size());
  EXPECT_TRUE(late && late->kind() != ErrorKind::timed_out);
  ASSERT_TRUE(daemon->wait_ended(1));
  EXPECT_EQ(output(1, daemon->end_of(1)), all);
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
  stop(stopped);
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

}  // namespace
}  // namespace stint::test
