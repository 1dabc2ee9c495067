// n programs through job.submit_many and job.results, output captured, against loops written by hand.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "tests/bench/contest.hpp"
#include "tests/bench/line_socket.hpp"
#include "tests/bench/spawn_loop.hpp"

namespace stint::bench {
namespace {

double through_stint(const Setup& setup, const std::vector<std::string>& command) {
  LineSocket socket(setup.socket);
  static int number = 0;
  const std::string group = "bench-programs-" + std::to_string(getpid()) + "-" + std::to_string(++number);
  nlohmann::json items = nlohmann::json::array();
  for (int i = 0; i < setup.programs; ++i) items.push_back(i);
  const nlohmann::json submit{{"jsonrpc", "2.0"},
                              {"id", 1},
                              {"method", "job.submit_many"},
                              {"params", {{"template", {{"command", command}}}, {"items", items}, {"group", group}}}};
  const nlohmann::json results{
      {"jsonrpc", "2.0"}, {"id", 2}, {"method", "job.results"}, {"params", {{"group", group}, {"output", true}}}};
  const std::string request = submit.dump() + "\n" + results.dump() + "\n";
  const double begun = now_seconds();
  socket.out() = request;
  int succeeded = 0;
  while (true) {
    const std::string_view line = socket.line();
    if (line.find("\"stream.item\"") != std::string_view::npos) {
      if (line.find("\"outcome\":\"succeeded\"") == std::string_view::npos)
        throw std::runtime_error("a job failed: " + std::string(line));
      ++succeeded;
    } else if (line.find("\"stream.end\"") != std::string_view::npos) {
      break;
    } else if (line.find("\"error\"") != std::string_view::npos) {
      throw std::runtime_error("refused: " + std::string(line));
    }
  }
  const double took = now_seconds() - begun;
  if (succeeded != setup.programs) throw std::runtime_error("results are missing");
  return took;
}

/// What a program loads when it starts hangs on its environment (LANG above all): the loops' programs get that of a job.
void take_on_environment_of_job(const Setup& setup) {
  LineSocket socket(setup.socket);
  const nlohmann::json run{
      {"jsonrpc", "2.0"}, {"id", 1}, {"method", "job.run"}, {"params", {{"job", {{"command", {"env"}}}}, {"output", true}}}};
  socket.out() = run.dump() + "\n";
  std::istringstream variables(nlohmann::json::parse(socket.line()).at("result").at("stdout").at("data").get<std::string>());
  clearenv();
  for (std::string line; std::getline(variables, line);) {
    const std::size_t name_end = line.find('=');
    if (name_end != std::string::npos) setenv(line.substr(0, name_end).c_str(), line.c_str() + name_end + 1, 1);
  }
}

}  // namespace

void run_programs(const Setup& setup, const std::vector<std::string>& command) {
  take_on_environment_of_job(setup);
  std::string text;
  for (const auto& word : command) text += (text.empty() ? "" : " ") + word;
  print_title("programs: " + std::to_string(setup.programs) + " × " + text + ", " + std::to_string(setup.slots) +
              " at once, output captured");
  const auto times = compete({{"stint", [&] { return through_stint(setup, command); }},
                              {"capturing", [&] { return capturing_loop(command, setup.programs, setup.slots, 1); }},
                              {"threads", [&] { return capturing_loop(command, setup.programs, setup.slots, setup.slots); }},
                              {"bare", [&] { return bare_loop(command, setup.programs, setup.slots); }},
                              {"xargs", [&] { return xargs(command, setup.programs, setup.slots); }}},
                             setup.rounds);
  const double runs = setup.programs;
  print_figure("stint", runs / times[0], "programs/s");
  print_figure("capturing loop, one thread", runs / times[1], "programs/s");
  print_figure("capturing loop, a thread a slot", runs / times[2], "programs/s");
  print_figure("bare loop", runs / times[3], "programs/s");
  print_figure("xargs -P", runs / times[4], "programs/s");
  const double capturing = std::min(times[1], times[2]);
  print_ratio("stint : the better capturing loop", capturing / times[0], ">= 0.95", capturing / times[0] >= 0.95);
  print_beside("stint : bare loop", times[3] / times[0]);
  print_ratio("stint : xargs", times[4] / times[0], "> 1", times[4] / times[0] > 1);
}

}  // namespace stint::bench
