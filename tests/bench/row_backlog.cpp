// A million durable jobs in line: what they cost those who submit, what memory they take, how long a start takes; and what a
// daemon costs that has nothing to do.
//
// The line stands still because its lane has one slot, which a sleeper holds.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <thread>

#include "tests/bench/contest.hpp"
#include "tests/bench/line_socket.hpp"
#include "tests/bench/own_daemon.hpp"

namespace stint::bench {
namespace {

constexpr int unanswered_max = 1'000;
constexpr int jobs_a_call = 10'000;
constexpr int jobs_a_round = 10'000;
constexpr std::size_t job_bytes = 200;

// The rounds end more jobs than retention keeps by default: what their removal costs, at any depth, would be part of the second
// figure alone.
const std::vector<std::string> one_slot{"thread.threads=1", "daemon.on_stop=detach", "retention.jobs=10000000"};

void require_result(std::string_view line) {
  if (line.find("\"result\"") == std::string_view::npos) {
    throw std::runtime_error("an unexpected answer: " + std::string(line.substr(0, 300)));
  }
}

void call(LineSocket& socket, const std::string& method, const std::string& params) {
  socket.out() += R"({"jsonrpc":"2.0","id":1,"method":")" + method + R"(","params":)" + params + "}\n";
  require_result(socket.line());
}

void take_the_slot(LineSocket& socket) {
  call(socket, "job.submit", R"({"job":{"task":"sleep","args":86400,"executor":"thread","durable":false,"daemon":true}})");
}

/// A job of 200 bytes that differs from all others.
std::string job(int number, const std::string& group) {
  std::string text = R"({"task":"echo","executor":"thread","group":")" + group + R"(","args":")" + std::to_string(number);
  text.resize(std::max(text.size(), job_bytes - 2), 'x');
  return text + "\"}";
}

void fill(LineSocket& socket, int count) {
  for (int done = 0; done < count;) {
    std::string params = R"({"jobs":[)";
    for (const int end = std::min(count, done + jobs_a_call); done < end; ++done) {
      params += job(done, "backlog");
      params += ',';
    }
    params.back() = ']';
    call(socket, "job.submit_many", params + "}");
  }
}

/// Submits one by one, pipelined; takes them back afterwards.
double submit_rate(LineSocket& socket) {
  const double begun = now_seconds();
  int sent = 0;
  for (int answered = 0; answered < jobs_a_round;) {
    for (; sent < jobs_a_round && sent - answered < unanswered_max; ++sent) {
      socket.out().append(R"({"jsonrpc":"2.0","id":1,"method":"job.submit","params":{"job":)");
      socket.out().append(job(sent, "round")).append("}}\n");
    }
    std::optional<std::string_view> line = socket.line();
    for (; line; line = socket.line_at_hand(), ++answered) require_result(*line);
  }
  const double rate = jobs_a_round / (now_seconds() - begun);
  call(socket, "job.cancel", R"({"group":"round"})");
  return rate;
}

double submit_rate(const std::string& path, int rounds) {
  LineSocket socket(path);
  static_cast<void>(submit_rate(socket));  // the first grows what the others find
  std::vector<double> rates;
  for (int i = 0; i < rounds; ++i) rates.push_back(submit_rate(socket));
  return quantile(std::move(rates), 0.5);
}

}  // namespace

void run_backlog(const Setup& setup) {
  print_title("durable jobs of " + std::to_string(job_bytes) + " bytes, " + std::to_string(setup.backlog) + " of them queued");
  OwnDaemon daemon(setup.stintd, one_slot);
  daemon.start();
  LineSocket socket(daemon.socket());
  take_the_slot(socket);
  const double empty_rate = submit_rate(daemon.socket(), setup.rounds);
  const auto before = static_cast<double>(daemon.resident_bytes());
  fill(socket, setup.backlog);
  const double per_job = (static_cast<double>(daemon.resident_bytes()) - before) / setup.backlog;
  const double full_rate = submit_rate(daemon.socket(), setup.rounds);
  print_figure("job.submit pipelined, none queued", empty_rate, "jobs/s");
  print_figure("job.submit pipelined, all queued", full_rate, "jobs/s");
  print_ratio("all queued : none queued", full_rate / empty_rate, ">= 0.9", full_rate / empty_rate >= 0.9);
  print_ratio("resident bytes a queued job", per_job, "<= 300", per_job <= 300);
}

void run_restart(const Setup& setup) {
  print_title("a start with " + std::to_string(setup.backlog) + " durable jobs queued");
  OwnDaemon daemon(setup.stintd, one_slot);
  const double empty = daemon.start();
  {
    LineSocket socket(daemon.socket());
    take_the_slot(socket);
    fill(socket, setup.backlog);
  }
  daemon.stop();
  const double full = daemon.start();
  print_figure("with none, to READY", empty, "s");
  print_ratio("with all, to READY, s", full, "<= 3", full <= 3);
}

void run_idle(const Setup& setup) {
  print_title("a daemon without work");
  OwnDaemon daemon(setup.stintd, {});
  daemon.start();
  std::this_thread::sleep_for(std::chrono::seconds(2));  // what a start leaves to be done is done
  const std::uint64_t before = daemon.wake_ups();
  std::this_thread::sleep_for(std::chrono::seconds(5));
  const auto wake_ups = static_cast<double>(daemon.wake_ups() - before);
  const double resident = static_cast<double>(daemon.resident_bytes()) / (1U << 20U);
  print_ratio("resident MiB", resident, "<= 15", resident <= 15);
  print_ratio("wake-ups of all its processes in 5 s", wake_ups, "0", wake_ups == 0);
}

}  // namespace stint::bench
