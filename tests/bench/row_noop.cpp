// Tasks that do nothing, pipelined: what the service itself costs, against beanstalkd's put, reserve and delete.
//
// beanstalkd gets the best client that its protocol allows: one connection, everything pipelined, a delete as soon as its
// reservation is known. Both keep at most `window` calls unanswered.
#include <unistd.h>

#include <optional>
#include <stdexcept>

#include "tests/bench/contest.hpp"
#include "tests/bench/line_socket.hpp"

namespace stint::bench {
namespace {

constexpr int window = 1'000;
constexpr std::string_view echo_job = R"({"task":"echo","args":1,"executor":"coroutine","durable":false})";

void require(bool condition, std::string_view line) {
  if (!condition) throw std::runtime_error("an unexpected answer: " + std::string(line.substr(0, 300)));
}

double submit_many(const Setup& setup) {
  LineSocket socket(setup.socket);
  static int number = 0;
  const std::string group = "bench-noop-" + std::to_string(getpid()) + "-" + std::to_string(++number);
  std::string request = R"({"jsonrpc":"2.0","id":1,"method":"job.submit_many","params":{"group":")" + group +
                        R"(","template":{"task":"echo","executor":"coroutine","durable":false},"items":[1)";
  for (int i = 1; i < setup.noops; ++i) request += ",1";
  request += R"(]}})";
  request +=
      "\n"
      R"({"jsonrpc":"2.0","id":2,"method":"job.results","params":{"group":")" +
      group + "\"}}\n";
  const double begun = now_seconds();
  socket.out() = request;
  int results = 0;
  while (true) {
    const std::string_view line = socket.line();
    if (line.find("\"stream.item\"") != std::string_view::npos) {
      require(line.find("\"outcome\":\"succeeded\"") != std::string_view::npos, line);
      ++results;
    } else if (line.find("\"stream.end\"") != std::string_view::npos) {
      break;
    } else {
      require(line.find("\"result\"") != std::string_view::npos, line);
    }
  }
  require(results == setup.noops, "results are missing");
  return setup.noops / (now_seconds() - begun);
}

double run_calls(const Setup& setup) {
  LineSocket socket(setup.socket);
  const double begun = now_seconds();
  int sent = 0;
  for (int answered = 0; answered < setup.noops;) {
    for (; sent < setup.noops && sent - answered < window; ++sent) {
      socket.out().append(R"({"jsonrpc":"2.0","id":)").append(std::to_string(sent + 1));
      socket.out().append(R"(,"method":"job.run","params":{"job":)").append(echo_job).append("}}\n");
    }
    std::optional<std::string_view> line = socket.line();
    for (; line; line = socket.line_at_hand()) {
      require(line->find("\"outcome\":\"succeeded\"") != std::string_view::npos, *line);
      ++answered;
    }
  }
  return setup.noops / (now_seconds() - begun);
}

double beanstalkd(const Setup& setup) {
  LineSocket socket(setup.beanstalkd);
  const double begun = now_seconds();
  int put = 0;
  for (int deleted = 0; deleted < setup.noops;) {
    for (; put < setup.noops && put - deleted < window; ++put) socket.out() += "put 0 0 60 1\r\n1\r\nreserve\r\n";
    std::optional<std::string_view> line = socket.line();
    for (; line; line = socket.line_at_hand()) {
      if (line->starts_with("RESERVED ")) {
        const std::string_view id = line->substr(9, line->find(' ', 9) - 9);
        socket.out().append("delete ").append(id).append("\r\n");
      } else if (*line == "DELETED") {
        ++deleted;
      } else {
        require(line->starts_with("INSERTED ") || *line == "1", *line);
      }
    }
  }
  return setup.noops / (now_seconds() - begun);
}

}  // namespace

void run_noop(const Setup& setup) {
  print_title("no-op tasks, pipelined, not durable: " + std::to_string(setup.noops) + " on the coroutine executor");
  std::vector<Contestant> contestants{{"submit_many", [&] { return submit_many(setup); }},
                                      {"run", [&] { return run_calls(setup); }}};
  if (!setup.beanstalkd.empty()) contestants.push_back({"beanstalkd", [&] { return beanstalkd(setup); }});
  const auto rates = compete(contestants, setup.rounds);
  print_figure("stint, job.submit_many + job.results", rates[0], "tasks/s");
  print_figure("stint, job.run pipelined", rates[1], "tasks/s");
  if (setup.beanstalkd.empty()) {
    print_title("  beanstalkd is not installed: no comparison");
    return;
  }
  print_figure("beanstalkd, put + reserve + delete", rates[2], "jobs/s");
  print_ratio("submit_many : beanstalkd", rates[0] / rates[2], ">= 3", rates[0] / rates[2] >= 3);
  print_beside("job.run : beanstalkd", rates[1] / rates[2]);
}

}  // namespace stint::bench
