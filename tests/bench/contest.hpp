// How the bench measures: contestants take turns for some rounds in one run, and what counts is the ratio of medians.
//
// Absolute figures depend on the machine and the hour; a ratio within one run much less. One thread; throws
// std::runtime_error where a contestant fails, because a figure of failed work would be a lie.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace stint::bench {

struct Contestant {
  std::string name;
  /// One round; the figure in the row's unit.
  std::function<double()> round;
};

/// The medians of `rounds` rounds each, taken in turn.
[[nodiscard]] std::vector<double> compete(const std::vector<Contestant>& contestants, int rounds);

[[nodiscard]] double quantile(std::vector<double> values, double q);
[[nodiscard]] double now_seconds();

/// What a run of the bench is told.
struct Setup {
  std::string socket;              ///< of the daemon
  std::string beanstalkd;          ///< socket of a beanstalkd, empty where there is none
  std::string durable_beanstalkd;  ///< of one that syncs each job to its log
  std::string redis;               ///< of a Redis that syncs before it answers, empty where there is none
  std::string stintd;              ///< the program, for rows with a daemon of their own
  int rounds = 5;
  int slots = 2;
  int programs = 5'000;
  int noops = 50'000;
  int backlog = 1'000'000;
};

/// The table on standard output.
void print_title(const std::string& title);
void print_figure(const std::string& name, double value, const std::string& unit);
/// A ratio without a goal.
void print_beside(const std::string& name, double ratio);
/// `met` decides between "met" and "MISSED".
void print_ratio(const std::string& name, double ratio, const std::string& goal, bool met);

void run_programs(const Setup& setup, const std::vector<std::string>& command);
void run_noop(const Setup& setup);
void run_durable_noop(const Setup& setup);
void run_redis(const Setup& setup);
void run_backlog(const Setup& setup);
void run_restart(const Setup& setup);
void run_idle(const Setup& setup);
void run_round_trip(const Setup& setup);
void run_follow(const Setup& setup);
void run_toolbox(const Setup& setup);
/// The program whose output `run_follow` follows: prints the time now and then.
int emit_stamps(int count, int interval_ms);

}  // namespace stint::bench
