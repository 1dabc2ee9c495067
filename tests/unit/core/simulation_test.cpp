// The scheduler under 250,000 random steps. STINT_SEED repeats a run, STINT_STEPS makes it longer.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <random>

#include "tests/unit/core/simulation.hpp"

namespace stint::core::simulation {
namespace {

constexpr std::uint64_t steps_default = 320'000;
constexpr std::uint64_t occurrences_min = 100;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void print(const char* title, const std::map<std::string, std::uint64_t>& counts) {
  std::cout << title << '\n';
  for (const auto& [name, count] : counts) std::cout << "  " << name << ": " << count << '\n';
}

TEST(Simulation, RandomEvents) {
  const std::uint64_t seed = from_environment("STINT_SEED", std::random_device{}());
  const std::uint64_t steps = from_environment("STINT_STEPS", steps_default);
  std::cout << "STINT_SEED=" << seed << " STINT_STEPS=" << steps << std::endl;
  Simulation simulation(seed);
  std::uint64_t step = 0;
  try {
    for (; step < steps; ++step) simulation.step();
    simulation.settle();
  } catch (const std::logic_error& error) {
    FAIL() << "step " << step << " of seed " << seed << ": " << error.what();
  }
  print("events", simulation.events());
  print("transitions", simulation.transitions());
  std::cout << "recalls: " << simulation.recalls() << '\n';
  std::cout << "jobs finished: " << simulation.finished() << '\n';

  if (steps < steps_default) GTEST_SKIP() << "too few steps for the counts";
  for (const char* event : {"on_submit",
                            "on_started",
                            "on_progress",
                            "on_stopping",
                            "on_ended",
                            "on_returned",
                            "on_commit_time",
                            "on_cancel",
                            "on_cancel_group",
                            "on_forget",
                            "on_durable",
                            "on_refused",
                            "on_timer",
                            "on_slots",
                            "on_pool_set",
                            "on_pool_remove",
                            "on_drain",
                            "on_undrain",
                            "on_loaded",
                            "on_semaphore",
                            "on_acquire",
                            "circle",
                            "closed by others",
                            "its job has ended",
                            "on_wait",
                            "on_wait_over",
                            "on_call_left",
                            "on_release",
                            "on_resume",
                            "on_connection_gone",
                            "on_lend",
                            "on_recovered",
                            "recorded and not announced",
                            "taken over: has ended",
                            "taken over: lives",
                            "taken over: lost with its pool",
                            "taken over: never began"}) {
    const auto found = simulation.events().find(event);
    EXPECT_TRUE(found != simulation.events().end() && found->second >= occurrences_min) << event;
  }
  EXPECT_GE(simulation.recalls(), occurrences_min);
  for (const auto& transition : legal_transitions()) {
    const auto found = simulation.transitions().find(transition);
    EXPECT_TRUE(found != simulation.transitions().end() && found->second >= occurrences_min) << transition;
  }
}

TEST(Simulation, TheSameSeedGivesTheSameEffects) {
  std::array<std::uint64_t, 3> digests{};
  for (std::size_t run = 0; run < digests.size(); ++run) {
    Simulation simulation(run < 2 ? 7 : 8);
    for (int step = 0; step < 3'000; ++step) simulation.step();
    digests[run] = simulation.digest();
  }
  EXPECT_EQ(digests[0], digests[1]);
  EXPECT_NE(digests[0], digests[2]);
}

}  // namespace
}  // namespace stint::core::simulation
