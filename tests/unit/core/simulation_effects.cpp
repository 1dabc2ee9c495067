// What the scheduler of the simulation asks for, done as a daemon does it: some of it at once, some when the store has it.
#include <algorithm>

#include "tests/unit/core/simulation.hpp"

namespace stint::core::simulation {

void Simulation::apply() {
  for (auto& effect : std::exchange(effects_, {})) {
    mix(effect.index());
    if (auto* const persist = std::get_if<Persist>(&effect)) {
      mix(persist->number);
      store_.hand_over(std::move(*persist));
      continue;
    }
    if (const auto* const wish = std::get_if<ArmTimer>(&effect)) {
      timer_ = timer_ ? std::min(*timer_, wish->at) : wish->at;
      continue;
    }
    if (const auto* const load = std::get_if<Load>(&effect)) {
      if (loading_) throw std::logic_error("two Loads at a time");
      if (load->ids.empty()) throw std::logic_error("a Load of nothing");
      loading_ = store_.load(load->ids);
      continue;
    }
    const PersistNumber after = std::visit(
        [](const auto& each) -> PersistNumber {
          if constexpr (requires { each.after; }) return each.after;
          return 0;
        },
        effect);
    mix(after);
    if (after > scheduler_->newest_persist()) throw std::logic_error("an effect waits for a Persist that does not exist");
    if (after <= durable_) {
      perform(effect);
    } else {
      held_[after].push_back(std::move(effect));
    }
  }
}

void Simulation::release(const ModelStore::Commit& commit) {
  durable_ = commit.durable;
  while (!held_.empty() && held_.begin()->first <= durable_) {
    const auto [number, effects] = std::move(*held_.begin());
    held_.erase(held_.begin());
    const bool refused = std::ranges::find(commit.refused, number, &ModelStore::Refused::number) != commit.refused.end();
    for (const auto& effect : effects) {
      const JobId id = std::visit(
          [](const auto& each) -> JobId {
            if constexpr (requires { each.id; }) return each.id;
            return 0;
          },
          effect);
      if (scheduler_->was_refused(id)) continue;
      const auto* const start = std::get_if<Start>(&effect);
      if (refused && start != nullptr && start->recorded) continue;
      if (const auto* const granted = std::get_if<Granted>(&effect); refused && granted != nullptr) {
        calls_.erase(granted->call);  // told that the store has no room
        continue;
      }
      perform(effect);
    }
  }
}

void Simulation::perform(const Effect& effect) {
  if (const auto* const start = std::get_if<Start>(&effect)) {
    perform_start(*start);
  } else if (const auto* const recall = std::get_if<Recall>(&effect)) {
    perform_recall(*recall);
  } else if (const auto* const stop = std::get_if<Stop>(&effect)) {
    perform_stop(*stop);
  } else if (const auto* const granted = std::get_if<Granted>(&effect)) {
    perform_granted(*granted);
  } else if (const auto* const refuse = std::get_if<Refuse>(&effect)) {
    perform_refuse(*refuse);
  } else if (const auto* const slots = std::get_if<SlotsNow>(&effect)) {
    mix(slots->slots);
    if (slots->pool) told_slots_[slots->pool->name] = slots->slots;
  } else {
    perform_publish(std::get<Publish>(effect));
  }
}

void Simulation::perform_start(const Start& start) {
  mix(start.id);
  const Job* const job = scheduler_->find(start.id);
  if (job == nullptr || !job->is_running() || job->attempt != start.attempt) wrong(start.id, "was started and does not run");
  if (job->lane != start.lane) wrong(start.id, "was started in another lane");
  if (job->durable && !(store_.submitted(start.id) && store_.started(start.id, start.attempt))) {
    wrong(start.id, "was started before that was recorded");
  }
  if (start.id >= store_.next_id()) wrong(start.id, "was started while its id might still be given away again");
  if (!ever_started_.emplace(start.id, start.attempt).second) wrong(start.id, "an attempt was started twice");
  const std::string place =
      job->lane == Lane::pool ? "pool " + *job->spec->pool : "lane " + std::to_string(static_cast<int>(job->lane));
  running_.push_back({start.id, start.attempt, start.lane, place});
}

// Whether it comes back is the executor's luck: returned() may choose it, or started() before.
void Simulation::perform_recall(const Recall& recall) {
  mix(recall.id);
  ++recalls_;
}

void Simulation::perform_stop(const Stop& stop) {
  mix(stop.id);
  const auto found =
      std::ranges::find_if(running_, [&](const Attempted& each) { return each.id == stop.id && each.attempt == stop.attempt; });
  if (found == running_.end()) return;  // it has just ended, or its start was refused
  found->stopped = true;
  const Job* const job = scheduler_->find(stop.id);
  const auto& state = std::get<Running>(job->state);
  if (job->durable && state.stop == StopCause::cancelled && !store_.cancelled(stop.id)) {
    wrong(stop.id, "was stopped before the cancel was recorded");
  }
}

void Simulation::perform_publish(const Publish& publish) {
  const JobId id = publish.id;
  mix(id);
  if (!publish.spec || !publish.user) wrong(id, "an event without specification or user");
  if (publish.spec->durable && !store_.submitted(id)) wrong(id, "news of it before it was accepted");
  if (publish.kind == EventKind::submitted) {
    if (!announced_.insert(id).second) wrong(id, "was announced twice");
    return;
  }
  if (!announced_.contains(id)) wrong(id, "news of it before it was announced");
  if (published_.contains(id)) wrong(id, "news of it after its end");
  if (publish.kind == EventKind::retrying) {
    if (publish.spec->durable && !store_.retried(id, publish.attempt))
      wrong(id, "its retry was announced before it was recorded");
    unrecorded_.erase({id, publish.attempt});
    return;
  }
  if (publish.kind != EventKind::finished) return;
  unrecorded_.erase({id, publish.attempt});
  if (publish.finished->seq <= last_seq_) wrong(id, "published out of the order of seq");
  last_seq_ = publish.finished->seq;
  mix(last_seq_);
  if (store_.finished(id) != last_seq_) wrong(id, "its end was announced before it was recorded");
  published_.emplace(id, last_seq_);
}

}  // namespace stint::core::simulation
