// The pools of a runner: who does the next message, when a worker is started, and what becomes of each message.
//
// A worker is started when a message finds none idle and there are fewer than the pool's size; it is kept, so the next
// message costs a line each way. A message that begins is noted in the slot file first, and stays there until the daemon
// has its end on record: should the runner die, what is in the file has begun, and what is not never did. Without a daemon
// there are no pools: their workers are killed. The runner's thread; throws what PoolWorker throws.
#pragma once

#include <array>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "daemon/worker/pool_worker.hpp"

namespace stint::worker {

class Pools final : private PoolWorker::Owner {
 public:
  Pools(PoolHost& host, std::array<char, 16> boot);

  void set(SetPool pool);
  void drop(std::uint32_t number);
  /// Throws Error where there is no such pool.
  void take(PoolMessage message);
  /// False where the run is none of a pool's.
  bool stop(const Run& run, bool force);
  bool recall(const Run& run);
  bool recorded(const Run& run);
  /// The daemon is gone.
  void abandon();
  /// It was, and there were pools: no other daemon has a use for this.
  [[nodiscard]] bool abandoned() const { return abandoned_; }
  /// Destroys what has ended, and fills places that have become free.
  void end_of_turn();

 private:
  struct Pool {
    SetPool spec;
    std::deque<PoolMessage> waiting;
    std::list<std::unique_ptr<PoolWorker>> workers;
    std::vector<PoolWorker*> idle;  // the last one is used first, so that the others may time out
    bool dropped = false;
  };
  struct Begun {
    std::size_t slot = 0;
    PoolWorker* worker = nullptr;  // null once it is over
    bool told = false;             // its start
  };

  void on_progress(const PoolProgress& progress) override;
  void on_stopping(const RunStopping& stopping) override;
  void on_answered(PoolWorker& worker, PoolAnswered answered) override;
  bool on_unread(PoolWorker& worker, PoolMessage& message) override;
  void on_gone(PoolWorker& worker) override;

  void serve(Pool& pool);
  static void trim(Pool& pool);
  [[nodiscard]] static std::size_t places_of(const Pool& pool);
  void serve_all();
  [[nodiscard]] static PoolWorker* take_idle(Pool& pool);
  /// False where the disk has no room to note it.
  [[nodiscard]] bool begin_next(Pool& pool, PoolWorker* worker);
  void start_worker(Pool& pool, std::size_t own_slot, PoolMessage message);
  void note_begun(const Run& run, std::size_t slot);
  [[nodiscard]] Begin worker_order(const SetPool& pool);
  [[nodiscard]] bool give_back(const Run& run);
  void settle();
  void tell_start(const Run& run);

  PoolHost& host_;
  std::array<char, 16> boot_;
  std::map<std::uint32_t, Pool> pools_;
  std::map<Run, Begun> begun_;                           // until its end is on record
  std::deque<std::pair<Run, Clock::time_point>> fresh_;  // begun lately, oldest first
  std::uint32_t last_worker_ = 0;
  bool serving_ = false;
  bool any_gone_ = false;
  bool abandoned_ = false;
  Timer settle_timer_;
  Timer room_timer_;
};

}  // namespace stint::worker
