// Turns, medians and the table.
#include "tests/bench/contest.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace stint::bench {

double now_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  const auto at = static_cast<std::size_t>(std::lround(q * static_cast<double>(values.size() - 1)));
  return values.at(at);
}

std::vector<double> compete(const std::vector<Contestant>& contestants, int rounds) {
  std::vector<std::vector<double>> figures(contestants.size());
  for (int round = 0; round < rounds; ++round) {
    // Each round begins with another one, so that nobody always runs after the same neighbour.
    for (std::size_t turn = 0; turn < contestants.size(); ++turn) {
      const std::size_t who = (turn + static_cast<std::size_t>(round)) % contestants.size();
      figures[who].push_back(contestants[who].round());
    }
  }
  std::vector<double> medians;
  medians.reserve(figures.size());
  for (auto& of_one : figures) medians.push_back(quantile(std::move(of_one), 0.5));
  return medians;
}

void print_title(const std::string& title) {
  std::printf("\n%s\n", title.c_str());
  std::fflush(stdout);
}

void print_figure(const std::string& name, double value, const std::string& unit) {
  std::printf("  %-46s %12.4g %s\n", name.c_str(), value, unit.c_str());
  std::fflush(stdout);
}

void print_beside(const std::string& name, double ratio) {
  std::printf("  %-46s %12.3f\n", name.c_str(), ratio);
  std::fflush(stdout);
}

void print_ratio(const std::string& name, double ratio, const std::string& goal, bool met) {
  std::printf("  %-46s %12.3f   goal %-14s %s\n", name.c_str(), ratio, goal.c_str(), met ? "met" : "MISSED");
  std::fflush(stdout);
}

}  // namespace stint::bench
