// stint_bench: measures a running daemon beside its rivals and prints ratios. tools/bench builds and runs it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <map>

#include "tests/bench/contest.hpp"

int main(int argc, char** argv) {
  using namespace stint::bench;
  CLI::App app("Measures a running stintd beside its rivals, in turns, and prints ratios of medians.");
  Setup setup;
  std::vector<std::string> rows;
  int emit = 0;
  int interval = 10;
  const std::map<std::string, std::function<void()>> known{
      {"true", [&] { run_programs(setup, {"/bin/true"}); }},
      {"echo",
       [&] {
         run_programs(setup, {"/bin/echo", "hello"});
       }},
      {"noop", [&] { run_noop(setup); }},
      {"durable", [&] { run_durable_noop(setup); }},
      {"redis", [&] { run_redis(setup); }},
      {"backlog", [&] { run_backlog(setup); }},
      {"restart", [&] { run_restart(setup); }},
      {"idle", [&] { run_idle(setup); }},
      {"trip", [&] { run_round_trip(setup); }},
      {"follow", [&] { run_follow(setup); }},
      {"toolbox", [&] { run_toolbox(setup); }},
  };
  std::vector<std::string> names;
  for (const auto& [name, run] : known) names.push_back(name);
  app.add_option("--socket", setup.socket, "socket of the daemon");
  app.add_option("--beanstalkd", setup.beanstalkd, "socket of a beanstalkd");
  app.add_option("--durable-beanstalkd", setup.durable_beanstalkd, "socket of a beanstalkd that syncs each job");
  app.add_option("--redis", setup.redis, "socket of a Redis that syncs before it answers");
  app.add_option("--stintd", setup.stintd, "the program, for rows with a daemon of their own");
  app.add_option("--rounds", setup.rounds, "rounds of each contestant")->check(CLI::PositiveNumber);
  app.add_option("--slots", setup.slots, "programs at once; the daemon's process.slots")->check(CLI::PositiveNumber);
  app.add_option("--programs", setup.programs, "programs a round")->check(CLI::PositiveNumber);
  app.add_option("--noops", setup.noops, "no-op tasks a round")->check(CLI::Range(1, 100'000));
  app.add_option("--backlog", setup.backlog, "queued jobs in backlog and restart")->check(CLI::PositiveNumber);
  app.add_option("rows", rows, "which rows; all where none is given")->check(CLI::IsMember(names));
  app.add_option("--emit", emit, "print the time so often instead of measuring")->group("");
  app.add_option("--interval", interval, "milliseconds between")->group("");
  CLI11_PARSE(app, argc, argv);
  if (emit > 0) return emit_stamps(emit, interval);
  if (rows.empty())
    rows = {"true", "echo", "noop", "durable", "redis", "trip", "follow", "toolbox", "idle", "backlog", "restart"};
  try {
    for (const auto& row : rows) known.at(row)();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stint_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
