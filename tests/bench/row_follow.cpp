// How soon the client sees what a followed program writes: the program writes the time, the client compares.
#include <unistd.h>

#include <array>
#include <ctime>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

#include "tests/bench/contest.hpp"
#include "tests/bench/line_socket.hpp"

namespace stint::bench {
namespace {

constexpr int stamps = 300;
constexpr int interval_ms = 10;

double monotonic_seconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

/// Delays in seconds: from the program's write to the client's read.
std::vector<double> follow_once(const Setup& setup) {
  LineSocket socket(setup.socket);
  std::array<char, 4096> self{};
  if (readlink("/proc/self/exe", self.data(), self.size() - 1) < 0) throw std::runtime_error("/proc/self/exe cannot be read");
  const nlohmann::json command{self.data(), "--emit", std::to_string(stamps), "--interval", std::to_string(interval_ms)};
  const nlohmann::json request{
      {"jsonrpc", "2.0"}, {"id", 1}, {"method", "job.submit"}, {"params", {{"job", {{"command", command}}}}}};
  socket.out() = request.dump() + "\n";
  const auto id = nlohmann::json::parse(socket.line()).at("result").at("id");
  socket.out() =
      nlohmann::json{
          {"jsonrpc", "2.0"}, {"id", 2}, {"method", "job.output"}, {"params", {{"id", id}, {"of", "stdout"}, {"follow", true}}}}
          .dump() +
      "\n";
  std::vector<double> delays;
  std::string text;
  while (true) {
    const auto message = nlohmann::json::parse(socket.line());
    const double now = monotonic_seconds();
    if (message.contains("error")) throw std::runtime_error(message.dump());
    if (message.value("method", "") == "stream.end") break;
    if (message.value("method", "") != "stream.item") continue;
    text += message["params"]["item"]["data"].get<std::string>();
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      delays.push_back(now - std::stod(text.substr(0, end)));
      text.erase(0, end + 1);
    }
  }
  if (delays.size() != static_cast<std::size_t>(stamps)) throw std::runtime_error("followed output is missing");
  return delays;
}

}  // namespace

int emit_stamps(int count, int interval) {
  for (int i = 0; i < count; ++i) {
    std::printf("%.9f\n", monotonic_seconds());
    std::fflush(stdout);
    std::this_thread::sleep_for(std::chrono::milliseconds(interval));
  }
  return 0;
}

void run_follow(const Setup& setup) {
  print_title("followed output: from the program's write to the client");
  std::vector<double> delays;
  for (int round = 0; round < setup.rounds; ++round) {
    const auto more = follow_once(setup);
    delays.insert(delays.end(), more.begin(), more.end());
  }
  print_figure("median", quantile(delays, 0.5) * 1e3, "ms");
  print_figure("99 of 100 within", quantile(delays, 0.99) * 1e3, "ms");
  const double worst = quantile(delays, 0.99) * 1e3;
  print_ratio("99 of 100, ms", worst, "<= 20", worst <= 20);
}

}  // namespace stint::bench
