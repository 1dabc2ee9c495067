// The frames between the daemon and a runner that are about pools; framing and rules are those of worker_frame.hpp.
//
// A pool lives on one runner. A message goes there as soon as it is started, also when all workers are busy: it waits
// there in order, so a worker that has answered gets the next one without a word from the daemon. What has begun is told
// by RunStarted, what never began is given back by RunReturned; StopRun, RecallRun and RunRecorded are those of programs.
#pragma once

#include "common/runner_protocol.hpp"

namespace stint::worker {

/// Daemon to runner: this pool exists, or is another one now: where more than its size differs, its workers are replaced as soon
/// as each is idle.
struct SetPool {
  static constexpr FrameKind kind = FrameKind::set_pool;
  std::uint32_t number = 0;  ///< the daemon's choice
  std::string name;
  std::vector<std::string> argv;
  std::vector<EnvEntry> env;
  std::optional<std::string> cwd;
  std::uint32_t size = 1;  ///< messages at once
  std::optional<std::uint64_t> max_jobs;
  std::optional<Duration> idle_timeout;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.number, s.name, s.argv, s.env, s.cwd, s.size, s.max_jobs, s.idle_timeout);
  }
};

/// Daemon to runner: it has no messages any more, and will get none.
struct DropPool {
  static constexpr FrameKind kind = FrameKind::drop_pool;
  std::uint32_t number = 0;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.number);
  }
};

/// Daemon to runner: a job of a pool.
struct PoolMessage {
  static constexpr FrameKind kind = FrameKind::message;
  Run run;
  std::uint32_t pool = 0;
  std::string args;  ///< JSON; empty: none
  bool capture = true;
  std::uint64_t output_limit = 0;
  std::optional<Duration> timeout;
  Duration grace{};
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run, s.pool, s.args, s.capture, s.output_limit, s.timeout, s.grace);
  }
};

/// What became of a message: a result, or an error of the worker's own or about the worker.
struct PoolFailure {
  std::string kind;
  std::string message;
  std::optional<std::string> data;        ///< JSON
  std::optional<std::int32_t> exit_code;  ///< 126 or 127 where the worker could not be started
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.kind, s.message, s.data, s.exit_code);
  }
};

struct PoolAnswered {
  static constexpr FrameKind kind = FrameKind::answered;
  Run run;
  std::optional<std::string> result;  ///< JSON; one of the two is there
  std::optional<PoolFailure> failure;
  bool timed_out = false;
  bool stopped = false;
  std::optional<KeptStream> err;
  Time started_at{};  ///< zero where the worker could not be started
  Time finished_at{};
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run, s.result, s.failure, s.timed_out, s.stopped, s.err, s.started_at, s.finished_at);
  }
};

struct PoolProgress {
  static constexpr FrameKind kind = FrameKind::progress;
  Run run;
  std::uint32_t millionths = 0;  ///< 0 … 1,000,000
  std::string text;
  template <class Self, class Fields>
  static void each(Self& s, Fields& f) {
    f(s.run, s.millionths, s.text);
  }
};

}  // namespace stint::worker
