// The scheduler in a world of chance: random events from a seed, a virtual clock, and models of the executors and of
// the store. After each step the scheduler checks itself and the world checks the scheduler: throws std::logic_error
// with the first thing that is wrong.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/scheduler.hpp"
#include "tests/unit/core/simulation_store.hpp"

namespace stint::core::simulation {

inline constexpr auto fixed_lanes = static_cast<std::size_t>(Lane::pool);

[[noreturn]] inline void wrong(JobId id, const std::string& what) {
  throw std::logic_error("job " + std::to_string(id) + ": " + what);
}

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed);

  /// One random event.
  void step();
  /// Lets everything come to its end and checks that each accepted job has finished exactly once.
  void settle();

  [[nodiscard]] const std::map<std::string, std::uint64_t>& events() const { return events_; }
  [[nodiscard]] const std::map<std::string, std::uint64_t>& transitions() const { return transitions_; }
  /// Of all effects so far: equal for equal seeds.
  [[nodiscard]] std::uint64_t digest() const { return digest_; }
  [[nodiscard]] std::uint64_t finished() const { return published_.size(); }
  [[nodiscard]] std::uint64_t recalls() const { return recalls_; }

 private:
  /// A started attempt, as its executor knows it.
  struct Attempted {
    JobId id = 0;
    Attempt attempt = 0;
    Lane lane{};
    std::string place;  ///< its lane, or its pool
    bool begun = false;
    bool stopped = false;
  };
  using Snapshot = std::map<JobId, const char*>;
  static constexpr std::uint64_t connections = 4;
  struct Place {
    std::uint64_t running = 0;
    std::uint64_t slots = 0;
  };

  // Events; each returns false where there was nothing to do it to.
  bool submit();
  bool started();
  bool progress();
  bool stopping();
  bool ended();
  bool returned();
  bool commit_time();
  bool cancel();
  bool cancel_group();
  bool forget();
  bool commit(double refuse);
  bool timer();
  bool slots();
  bool set_pool();
  bool remove_pool();
  bool drain();
  bool undrain();
  bool stale();
  bool semaphore();
  bool acquire();
  bool call_left();
  bool release_lease();
  bool resume();
  bool connection_gone();
  bool lend();
  bool wait_for_jobs();
  bool wait_over();
  bool restart();
  bool loaded();

  void count(const char* event) { ++events_[event]; }
  void after_event();
  void lose_memory();
  /// A submitted job must have been accepted and have ended, or refused without a trace.
  void check_account(JobId id) const;
  void take_over(const StoredJob& job);
  [[nodiscard]] Snapshot snapshot() const;
  /// What holds slots: the lanes and the pools.
  [[nodiscard]] std::map<std::string, Place> places() const;
  [[nodiscard]] std::uint64_t begun_in(const std::string& place) const;
  void compare(const Snapshot& before, const Snapshot& after);
  void compare_running();
  void compare_drain() const;
  void compare_permits() const;

  // Effects.
  void apply();
  void release(const ModelStore::Commit& commit);
  void perform(const Effect& effect);
  void perform_start(const Start& start);
  void perform_recall(const Recall& recall);
  void perform_stop(const Stop& stop);
  void perform_publish(const Publish& publish);
  void perform_granted(const Granted& granted);
  void perform_refuse(const Refuse& refuse);
  void mix(std::uint64_t value) { digest_ = (digest_ ^ value) * 0x100000001b3ULL; }

  [[nodiscard]] std::uint64_t below(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random_);
  }
  [[nodiscard]] bool chance(double probability) { return std::bernoulli_distribution(probability)(random_); }
  [[nodiscard]] Attempted* any_attempt();
  [[nodiscard]] JobId any_job();
  [[nodiscard]] EndReport any_report(const Attempted& attempted);

  std::mt19937_64 random_;
  Time now_;
  std::unique_ptr<Scheduler> scheduler_;
  ModelStore store_;
  std::vector<std::shared_ptr<const JobSpec>> specs_;
  std::shared_ptr<const User> user_;
  Effects effects_;
  std::map<PersistNumber, std::vector<Effect>> held_;
  PersistNumber durable_ = 0;
  std::optional<Time> timer_;
  std::optional<std::vector<LoadedSpec>> loading_;  // read, and not answered yet
  std::vector<Attempted> running_;
  std::map<std::string, Place> places_before_;
  std::map<std::string, std::uint32_t> told_slots_;  // of pools: what their executor was told since they were set
  std::set<std::pair<JobId, Attempt>> ever_started_;
  std::map<std::pair<JobId, Attempt>, EndReport> unrecorded_;  // ends of programs, as their runner keeps them
  std::set<JobId> given_;           // ids of what was submitted and not lost with a daemon before it was recorded
  std::set<JobId> transient_;       // accepted, not durable
  std::map<JobId, Seq> published_;  // finished
  std::set<JobId> announced_;       // submitted
  Seq last_seq_ = 0;
  bool restarting_ = false;
  Snapshot snapshot_;
  std::map<std::string, std::uint64_t> events_;
  std::map<std::string, std::uint64_t> transitions_;
  std::uint64_t recalls_ = 0;
  std::uint64_t last_call_ = 0;
  std::map<std::uint64_t, Holder> calls_;         // that wait
  std::map<std::uint64_t, std::uint64_t> waits_;  // for jobs, and their connections
  std::vector<std::pair<JobId, Attempt>> lending_;
  DrainScope drain_scope_{};
  std::uint64_t digest_ = 0xcbf29ce484222325ULL;
};

/// What may happen to a job in one step, as "from → to"; none is a job that is not (or no longer) here.
[[nodiscard]] const std::set<std::string>& legal_transitions();

}  // namespace stint::core::simulation
