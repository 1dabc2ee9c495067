// Sends the messages of pools to their workers: to a runner of its own, which starts when the first pool has something to do.
//
// Messages go to the runner as they are started, those that go ahead of their slots too, so that a worker that has
// answered finds the next one there. A runner that dies is replaced: what it had begun is `lost`, but not before its
// workers are gone, and what it had not begun is returned. It makes no decision about a worker: timeouts, kills and replacements
// are the runner's. What an earlier daemon had begun is found by ProcessExecutor::recover. I/O thread only; throws only
// bad_alloc.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/pool.hpp"
#include "common/pool_protocol.hpp"
#include "daemon/exec/executor.hpp"
#include "daemon/exec/packet_socket.hpp"
#include "daemon/exec/workers.hpp"

namespace stint::exec {

struct PoolOptions {
  worker::Hello hello;
  std::function<void(const std::string&)> log;  ///< gets a sentence when something went wrong; may be empty
};

class PoolExecutor final : public Executor {
 public:
  /// `workers` and `observer` must outlive it.
  PoolExecutor(boost::asio::io_context& io, Workers& workers, Observer& observer, PoolOptions options);
  ~PoolExecutor() override;

  /// There is such a pool, or it is another one now: its workers are replaced as soon as each is idle.
  void define(std::shared_ptr<const PoolSpec> pool);
  /// So many messages at once, with those whose workers wait for others; ignored where there is no such pool.
  void resize(const std::string& name, std::uint32_t slots);
  /// It takes no more messages. Its workers end when it has none left.
  void drop(const std::string& name);

  void start(Order order) override;
  void stop(JobId id, Attempt attempt, bool force) override;
  void recall(JobId id, Attempt attempt) override;
  void on_recorded(JobId id, Attempt attempt) override;
  /// There is no output but stderr, and that is there when the job has ended: who waits for it is answered then.
  void read_output(OutputQuery query, OutputCallback done) override;
  void close(std::function<void()> done) override;

  /// Started and neither ended nor returned.
  [[nodiscard]] bool has_runs() const { return !runs_.empty(); }

 private:
  using Run = worker::Run;
  struct Pool {
    std::uint32_t number = 0;
    std::shared_ptr<const PoolSpec> spec;
    std::uint32_t slots = 0;
    std::uint64_t runs = 0;
    bool dropped = false;
  };
  using Pools = std::map<std::string, Pool>;
  struct Placed {
    Pools::iterator pool;
    bool sent = false;
    bool started = false;  // told
  };

  void on_frame(const worker::FrameView& frame);
  void on_started(const worker::RunStarted& started);
  void on_answered(worker::PoolAnswered answered);
  void on_progress(worker::PoolProgress progress);
  void on_returned(const Run& run);
  void spawn_runner();
  void on_runner_spawned(const std::optional<Error>& error, Worker worker);
  void on_runner_died(const WorkerDeath& death);
  void send_waiting();
  void send_pool(const Pool& pool);
  void send_message(const Order& order);
  /// The run is over here.
  void forget(const Run& run);
  void drop_if_left(Pools::iterator pool);
  void give_back(const Run& run);
  void finish_if_closed();

  boost::asio::io_context& io_;
  Workers& workers_;
  Observer& observer_;
  PoolOptions options_;
  Pools pools_;
  std::uint32_t last_number_ = 0;
  std::map<Run, Placed> runs_;
  std::deque<Order> waiting_;  // for the runner
  std::multimap<Run, OutputCallback> readers_;
  std::string runner_;  // its name, until it is dead
  std::unique_ptr<PacketSocket> socket_;
  bool spawning_ = false;
  boost::asio::steady_timer retry_timer_;
  std::set<Run> unrecorded_;                   // ended, and not on record
  std::map<std::string, std::set<Run>> kept_;  // by dead runner: what its folder still tells of
  bool closing_ = false;
  std::function<void()> closed_;
  std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace stint::exec
