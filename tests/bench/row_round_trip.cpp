// One no-op task at a time: the median of a job.run against a message of the same size there and back between two
// processes over a bare Unix socket.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "tests/bench/contest.hpp"
#include "tests/bench/line_socket.hpp"

namespace stint::bench {
namespace {

constexpr int trips = 3'000;
constexpr std::string_view request =
    R"({"jsonrpc":"2.0","id":1,"method":"job.run","params":{"job":{"task":"echo","args":1,"executor":"coroutine","durable":false}}})"
    "\n";

double through_stint(const Setup& setup) {
  LineSocket socket(setup.socket);
  std::vector<double> times;
  for (int i = 0; i < trips; ++i) {
    const double begun = now_seconds();
    socket.out() = request;
    const std::string_view line = socket.line();
    times.push_back(now_seconds() - begun);
    if (line.find("\"outcome\":\"succeeded\"") == std::string_view::npos) throw std::runtime_error(std::string(line));
  }
  return quantile(std::move(times), 0.5);
}

/// The other side of the ping-pong, in a process of its own.
[[noreturn]] void echo_for_ever(int socket) {
  std::array<char, 4096> bytes;
  while (true) {
    const ssize_t got = read(socket, bytes.data(), bytes.size());
    if (got <= 0 || write(socket, bytes.data(), static_cast<std::size_t>(got)) != got) _exit(0);
  }
}

double bare_socket() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::runtime_error("socketpair failed");
  const pid_t other = fork();
  if (other == 0) {
    close(ends[0]);
    echo_for_ever(ends[1]);
  }
  close(ends[1]);
  std::vector<double> times;
  std::array<char, 4096> bytes;
  for (int i = 0; i < trips; ++i) {
    const double begun = now_seconds();
    if (write(ends[0], request.data(), request.size()) < 0) break;
    for (std::size_t held = 0; held < request.size();) {
      const ssize_t got = read(ends[0], bytes.data(), bytes.size());
      if (got <= 0) throw std::runtime_error("the ping-pong broke off");
      held += static_cast<std::size_t>(got);
    }
    times.push_back(now_seconds() - begun);
  }
  close(ends[0]);
  waitpid(other, nullptr, 0);
  return quantile(std::move(times), 0.5);
}

}  // namespace

void run_round_trip(const Setup& setup) {
  print_title("one no-op task at a time, not durable: median round trip");
  const auto times =
      compete({{"stint", [&] { return through_stint(setup); }}, {"ping-pong", [] { return bare_socket(); }}}, setup.rounds);
  print_figure("stint, job.run", times[0] * 1e6, "µs");
  print_figure("bare Unix-socket ping-pong", times[1] * 1e6, "µs");
  print_ratio("stint : ping-pong", times[0] / times[1], "<= 3", times[0] / times[1] <= 3);
}

}  // namespace stint::bench
