// Tasks that do nothing, pipelined: what the service itself costs, against beanstalkd's put, reserve and delete.
//
// beanstalkd gets the best client that its protocol allows: one connection, everything pipelined, a delete as soon as its
// reservation is known. Both keep at most `window` calls unanswered.
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "tests/bench/contest.hpp"
#include "tests/bench/line_socket.hpp"

namespace stint::bench {
namespace {

constexpr int window = 1'000;

void require(bool condition, std::string_view line) {
  if (!condition) throw std::runtime_error("an unexpected answer: " + std::string(line.substr(0, 300)));
}

std::string_view word(bool durable) { return durable ? "true" : "false"; }

double submit_many(const Setup& setup, bool durable) {
  LineSocket socket(setup.socket);
  static int number = 0;
  const std::string group = "bench-noop-" + std::to_string(getpid()) + "-" + std::to_string(++number);
  std::string request = R"({"jsonrpc":"2.0","id":1,"method":"job.submit_many","params":{"group":")" + group +
                        R"(","template":{"task":"echo","executor":"coroutine","durable":)" + std::string(word(durable)) +
                        R"(},"items":[1)";
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

double run_calls(const Setup& setup, bool durable) {
  LineSocket socket(setup.socket);
  const double begun = now_seconds();
  int sent = 0;
  for (int answered = 0; answered < setup.noops;) {
    for (; sent < setup.noops && sent - answered < window; ++sent) {
      socket.out().append(R"({"jsonrpc":"2.0","id":)").append(std::to_string(sent + 1));
      socket.out().append(R"(,"method":"job.run","params":{"job":{"task":"echo","args":1,"executor":"coroutine","durable":)");
      socket.out().append(word(durable)).append("}}}\n");
    }
    std::optional<std::string_view> line = socket.line();
    for (; line; line = socket.line_at_hand()) {
      require(line->find("\"outcome\":\"succeeded\"") != std::string_view::npos, *line);
      ++answered;
    }
  }
  return setup.noops / (now_seconds() - begun);
}

double beanstalkd(const Setup& setup, const std::string& path) {
  LineSocket socket(path);
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

/// A queue from which nothing is lost: pushed, moved to a list of those that are being worked on, and removed from that.
double redis(const Setup& setup) {
  LineSocket socket(setup.redis);
  constexpr int lines_a_job = 4;  // the number pushed, the value moved (two lines), the number removed
  const double begun = now_seconds();
  int sent = 0;
  for (int lines = 0; lines < setup.noops * lines_a_job;) {
    for (; sent < setup.noops && sent - lines / lines_a_job < window; ++sent) {
      socket.out() += "LPUSH queue 1\r\nRPOPLPUSH queue begun\r\nLREM begun 1 1\r\n";
    }
    std::optional<std::string_view> line = socket.line();
    for (; line; line = socket.line_at_hand(), ++lines) require(!line->starts_with('-'), *line);
  }
  return setup.noops / (now_seconds() - begun);
}

void contest(const Setup& setup, bool durable, const std::string& rival, double goal) {
  std::vector<Contestant> contestants{{"submit_many", [&] { return submit_many(setup, durable); }},
                                      {"run", [&] { return run_calls(setup, durable); }}};
  if (!rival.empty()) contestants.push_back({"beanstalkd", [&] { return beanstalkd(setup, rival); }});
  const auto rates = compete(contestants, setup.rounds);
  print_figure("stint, job.submit_many + job.results", rates[0], "tasks/s");
  print_figure("stint, job.run pipelined", rates[1], "tasks/s");
  if (rival.empty()) {
    print_title("  beanstalkd is not installed: no comparison");
    return;
  }
  print_figure("beanstalkd, put + reserve + delete", rates[2], "jobs/s");
  const double ratio = rates[0] / rates[2];
  print_ratio("submit_many : beanstalkd", ratio, ">= " + std::to_string(static_cast<int>(goal)), ratio >= goal);
  print_beside("job.run : beanstalkd", rates[1] / rates[2]);
}

}  // namespace

void run_noop(const Setup& setup) {
  print_title("no-op tasks, pipelined, not durable: " + std::to_string(setup.noops) + " on the coroutine executor");
  contest(setup, false, setup.beanstalkd, 3);
}

void run_durable_noop(const Setup& setup) {
  Setup fewer = setup;
  fewer.noops = std::max(1, setup.noops / 5);  // each of beanstalkd's waits for the disk
  print_title("no-op tasks, pipelined, durable: " + std::to_string(fewer.noops) + "; beanstalkd with -b and -f0");
  contest(fewer, true, setup.durable_beanstalkd, 20);
}

void run_redis(const Setup& setup) {
  print_title("no-op tasks, pipelined, durable, beside Redis with appendfsync always: " + std::to_string(setup.noops));
  if (setup.redis.empty()) return print_title("  redis-server is not installed: no comparison");
  const auto rates = compete({{"submit_many", [&] { return submit_many(setup, true); }},
                              {"run", [&] { return run_calls(setup, true); }},
                              {"redis", [&] { return redis(setup); }}},
                             setup.rounds);
  print_figure("stint, job.submit_many + job.results", rates[0], "tasks/s");
  print_figure("stint, job.run pipelined", rates[1], "tasks/s");
  print_figure("Redis, LPUSH + RPOPLPUSH + LREM", rates[2], "jobs/s");
  print_beside("submit_many : Redis", rates[0] / rates[2]);
  print_beside("job.run : Redis", rates[1] / rates[2]);
}

}  // namespace stint::bench
