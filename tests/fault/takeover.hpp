// Daemons that come and go over the same running programs: what the tests of take-over are written with.
//
// A Daemon here is what a daemon has of programs, on an io_context of its own, which goes with it: nothing of it runs on.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstddef>
#include <set>

#include "common/slot_file.hpp"
#include "tests/fault/program_bench.hpp"

namespace stint::test {

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
  /// Stops a runner, as if an hour ago to whoever goes by when it last touched its files: no clock decides who is dead.
  void stop(pid_t runner) const {
    ASSERT_EQ(::kill(runner, SIGSTOP), 0);
    ASSERT_TRUE(is_runner(runner));
    const std::filesystem::path workers = folder->path() / "workers";
    const auto hour_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
    for (const std::string& name : folders()) {
      if (pid_of(name) != runner) continue;
      for (const char* part : {"lock", "slots", "instance", ""})
        std::filesystem::last_write_time(workers / name / part, hour_ago);
    }
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

}  // namespace stint::test
