#include "daemon/worker/pools.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace stint::worker {
namespace {

using namespace std::chrono_literals;

/// What is over sooner costs no word of its start.
constexpr Clock::duration quick_answer = 1ms;
/// How soon it is tried again to begin what waits, where the disk has no room to note it.
constexpr Clock::duration full_disk_pause = 100ms;

bool is_same(const SetPool& a, const SetPool& b) {
  std::string left;
  std::string right;
  encode(left, a);
  encode(right, b);
  return left == right;
}

}  // namespace

Pools::Pools(PoolHost& host, std::array<char, 16> boot)
    : host_(host),
      boot_(boot),
      settle_timer_(host.loop(), [this] { settle(); }),
      room_timer_(host.loop(), [this] { serve_all(); }) {}

void Pools::set(SetPool spec) {
  Pool& pool = pools_[spec.number];
  pool.dropped = false;
  pool.spec.size = spec.size;
  if (!is_same(pool.spec, spec)) {
    pool.spec = std::move(spec);
    for (const auto& worker : pool.workers) worker->retire();
  }
  trim(pool);
  serve(pool);
}

/// Those that are idle go first where there are more than the pool's size: it was lowered.
void Pools::trim(Pool& pool) {
  for (std::size_t places = places_of(pool); places > pool.spec.size && !pool.idle.empty(); --places) {
    pool.idle.front()->retire();
    pool.idle.erase(pool.idle.begin());
  }
}

std::size_t Pools::places_of(const Pool& pool) {
  return static_cast<std::size_t>(std::ranges::count_if(pool.workers, [](const auto& each) { return each->holds_place(); }));
}

void Pools::drop(std::uint32_t number) {
  const auto found = pools_.find(number);
  if (found == pools_.end()) return;
  found->second.dropped = true;
  for (const auto& worker : found->second.workers) worker->retire();
  any_gone_ = true;
}

void Pools::take(PoolMessage message) {
  const auto found = pools_.find(message.pool);
  if (found == pools_.end()) throw Decoder::malformed();
  found->second.waiting.push_back(std::move(message));
  serve(found->second);
}

bool Pools::stop(const Run& run, bool force) {
  const auto found = begun_.find(run);
  if (found == begun_.end()) return give_back(run);
  if (found->second.worker != nullptr) found->second.worker->stop(force);
  return true;
}

bool Pools::recall(const Run& run) { return begun_.contains(run) || give_back(run); }

bool Pools::recorded(const Run& run) {
  const auto found = begun_.find(run);
  if (found == begun_.end()) return false;
  host_.free_slot(found->second.slot);
  begun_.erase(found);
  return true;
}

bool Pools::give_back(const Run& run) {
  for (auto& [number, pool] : pools_) {
    const auto found = std::ranges::find_if(pool.waiting, [&](const PoolMessage& message) { return message.run == run; });
    if (found == pool.waiting.end()) continue;
    pool.waiting.erase(found);
    host_.send(RunReturned{run});
    return true;
  }
  return false;
}

void Pools::abandon() {
  abandoned_ = abandoned_ || !pools_.empty();
  for (auto& [number, pool] : pools_) {
    pool.waiting.clear();
    for (const auto& worker : pool.workers) worker->kill();
  }
  fresh_.clear();
}

// Messages and workers

void Pools::serve_all() {
  for (auto& [number, pool] : pools_) serve(pool);
}

void Pools::serve(Pool& pool) {
  // A worker that cannot be started ends in here; the loop goes on with the next message.
  if (std::exchange(serving_, true)) return;
  while (!pool.waiting.empty()) {
    PoolWorker* const worker = take_idle(pool);
    if (worker == nullptr && places_of(pool) >= pool.spec.size) break;
    if (begin_next(pool, worker)) continue;
    if (worker != nullptr) pool.idle.push_back(worker);
    room_timer_.arm_in(full_disk_pause);
    break;
  }
  serving_ = false;
}

PoolWorker* Pools::take_idle(Pool& pool) {
  while (!pool.idle.empty()) {
    PoolWorker* const worker = pool.idle.back();
    pool.idle.pop_back();
    if (worker->is_ready()) return worker;
  }
  return nullptr;
}

bool Pools::begin_next(Pool& pool, PoolWorker* worker) {
  const auto slot = host_.take_slot();
  if (!slot) return false;
  const auto own_slot = worker == nullptr ? host_.take_slot() : slot;
  if (!own_slot) {
    host_.free_slot(*slot);
    return false;
  }
  PoolMessage message = std::move(pool.waiting.front());
  pool.waiting.pop_front();
  const Run run = message.run;
  note_begun(run, *slot);
  begun_[run] = {*slot, worker, false};
  fresh_.emplace_back(run, Clock::now());
  if (!settle_timer_.is_armed()) settle_timer_.arm_in(quick_answer);
  if (worker != nullptr) {
    worker->ask(std::move(message));
  } else {
    start_worker(pool, *own_slot, std::move(message));
  }
  return true;
}

void Pools::start_worker(Pool& pool, std::size_t own_slot, PoolMessage message) {
  PoolWorker::Owner& owner = *this;
  PoolWorker& worker = *pool.workers.emplace_back(std::make_unique<PoolWorker>(host_, owner, pool.spec));
  begun_.at(message.run).worker = &worker;
  worker.start(worker_order(pool.spec), own_slot, std::move(message));
}

/// Before the worker hears of it. The process is found by the worker's own record.
void Pools::note_begun(const Run& run, std::size_t slot) {
  SlotRecord record;
  record.state = SlotState::begun;
  record.boot_id = boot_;
  record.job = run.job;
  record.attempt = run.attempt;
  host_.write_slot(slot, record);
}

Begin Pools::worker_order(const SetPool& pool) {
  Begin order;
  // Unlike that of any worker of another runner, for it is what the process and its descendants are found by.
  order.run.job = pool_worker_bit | static_cast<std::uint64_t>(::getpid()) << 32U | ++last_worker_;
  order.argv = pool.argv;
  order.env = pool.env;
  order.cwd = pool.cwd;
  order.name = pool.name;
  order.input = InputKind::stream;
  order.durable = false;
  return order;
}

void Pools::on_progress(const PoolProgress& progress) {
  tell_start(progress.run);
  host_.send(progress);
}

void Pools::on_stopping(const RunStopping& stopping) {
  tell_start(stopping.run);
  host_.send(stopping);
}

void Pools::on_answered(PoolWorker& worker, PoolAnswered answered) {
  begun_.at(answered.run).worker = nullptr;
  host_.send(answered);
  Pool& pool = pools_.at(worker.pool());
  if (worker.is_idle()) pool.idle.push_back(&worker);
  trim(pool);
  serve(pool);
}

/// Another worker takes the place of the dead one; the message goes on having begun.
bool Pools::on_unread(PoolWorker& worker, PoolMessage& message) {
  const auto own_slot = abandoned_ ? std::nullopt : host_.take_slot();
  if (own_slot) start_worker(pools_.at(worker.pool()), *own_slot, std::move(message));
  return own_slot.has_value();
}

void Pools::on_gone(PoolWorker& worker) {
  std::erase(pools_.at(worker.pool()).idle, &worker);
  any_gone_ = true;
}

void Pools::end_of_turn() {
  if (!std::exchange(any_gone_, false)) return;
  for (auto& [number, pool] : pools_) {
    std::erase_if(pool.workers, [](const auto& worker) { return worker->is_gone(); });
    serve(pool);
  }
  std::erase_if(pools_, [](const auto& entry) { return entry.second.dropped && entry.second.workers.empty(); });
}

// Starts

void Pools::settle() {
  const auto now = Clock::now();
  while (!fresh_.empty() && fresh_.front().second + quick_answer <= now) {
    tell_start(fresh_.front().first);
    fresh_.pop_front();
  }
  if (!fresh_.empty()) settle_timer_.arm(fresh_.front().second + quick_answer);
}

void Pools::tell_start(const Run& run) {
  const auto found = begun_.find(run);
  if (found == begun_.end() || found->second.worker == nullptr || std::exchange(found->second.told, true)) return;
  host_.send(RunStarted{run, found->second.worker->pid(), found->second.worker->since()});
}

}  // namespace stint::worker
