#include "daemon/worker/spawned_programs.hpp"

#include <utility>
#include <vector>

namespace stint::worker {
namespace {

using namespace std::chrono_literals;

/// A program that is over sooner, and whose output nobody follows, costs no watch on its pipes and no word of its start. Longer
/// than a small program takes where all processors are busy; a large output waits so long once, when it has filled its pipe.
constexpr Clock::duration settle_delay = 4ms;

/// A program whose file takes longer to be opened is told of as started all the same.
constexpr Clock::duration exec_patience = 1s;

/// From when on the output of a program lies on disk, however little it is: it is to outlive its runner.
constexpr Clock::duration write_out_delay = 1s;

}  // namespace

SpawnedPrograms::SpawnedPrograms(EventLoop& loop, std::function<Program*(const Run&)> find)
    : find_(std::move(find)), settle_timer_(loop, [this] { settle(); }), write_out_timer_(loop, [this] { write_out(); }) {}

SpawnResult SpawnedPrograms::spawn(Program& program, SpawnPlan plan) {
  SpawnResult result = spawner_.spawn(std::move(plan));
  if (result.failure) return result;
  by_pid_[result.pid] = {&program, std::move(result.launch)};
  const auto now = Clock::now();
  fresh_.push_back({&program, now, now + settle_delay});
  if (!settle_timer_.is_armed()) settle_timer_.arm_in(settle_delay);
  return result;
}

std::uint64_t SpawnedPrograms::reap() {
  // All are reaped before any is told: then the last one finds itself without siblings.
  std::vector<ChildExit> exits;
  while (const auto exit = reap_child()) exits.push_back(*exit);
  std::uint64_t orphans = 0;
  for (const ChildExit& exit : exits) {
    const auto known = by_pid_.find(exit.pid);
    if (known == by_pid_.end()) {
      ++orphans;
      continue;
    }
    Child child = std::move(known->second);
    by_pid_.erase(known);
    auto failure = child.launch ? failure_of(*child.launch) : std::nullopt;
    spawner_.give_back(std::move(child.launch));
    failure ? child.program->on_not_started(std::move(*failure)) : child.program->on_exit(exit);
  }
  return orphans;
}

void SpawnedPrograms::forget(const Program& program) {
  by_pid_.erase(program.pid());
  std::erase_if(fresh_, [&](const Fresh& fresh) { return fresh.program == &program; });
}

bool SpawnedPrograms::has_begun(const Program& program) {
  const auto child = by_pid_.find(program.pid());
  if (child == by_pid_.end() || !child->second.launch) return true;
  if (!worker::has_begun(*child->second.launch)) return false;
  spawner_.give_back(std::move(child->second.launch));
  return true;
}

void SpawnedPrograms::settle() {
  const auto now = Clock::now();
  for (; !fresh_.empty() && fresh_.front().due <= now; fresh_.pop_front()) {
    const Fresh fresh = fresh_.front();
    if (!has_begun(*fresh.program) && now < fresh.since + exec_patience) {
      fresh_.push_back({fresh.program, fresh.since, now + settle_delay});
      continue;
    }
    fresh.program->settle();
    young_.push_back({fresh.program->run(), fresh.since});
  }
  if (!fresh_.empty()) settle_timer_.arm(fresh_.front().due);
  if (!young_.empty() && !write_out_timer_.is_armed()) write_out_timer_.arm(young_.front().since + write_out_delay);
}

void SpawnedPrograms::write_out() {
  const auto now = Clock::now();
  for (; !young_.empty() && young_.front().since + write_out_delay <= now; young_.pop_front()) {
    if (Program* program = find_(young_.front().run)) program->write_out();
  }
  if (!young_.empty()) write_out_timer_.arm(young_.front().since + write_out_delay);
}

}  // namespace stint::worker
