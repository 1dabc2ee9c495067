// The parts of a running daemon, in the order in which they start; they stop in the mirror of it.
//
// The zygote comes first, because after it there are threads. `run` returns when everything has ended: nothing is
// detached. Throws Error where the zygote, the store or the socket cannot be had.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "config/config.hpp"
#include "daemon/api/server.hpp"
#include "daemon/db/sqlite_store.hpp"
#include "daemon/engine.hpp"
#include "daemon/exec/coroutine_executor.hpp"
#include "daemon/exec/host_executor.hpp"
#include "daemon/exec/plugins.hpp"
#include "daemon/exec/pool_executor.hpp"
#include "daemon/exec/process_executor.hpp"
#include "daemon/exec/thread_executor.hpp"
#include "daemon/exec/zygote_workers.hpp"
#include "daemon/output_sweep.hpp"
#include "daemon/retention.hpp"
#include "daemon/state_dir.hpp"

namespace stint {

class Daemon {
 public:
  Daemon(const config::Config& config, StateDir& state_dir, const std::string& instance);

  /// Serves until it is told to stop and has stopped. Returns the exit code.
  int run();

 private:
  using Step = std::function<void(std::function<void()> next)>;

  void recover();
  void note_boot();
  void note_boot_when_recorded();
  [[noreturn]] void on_store_failure(const std::string& reason);
  void on_signal(int number);
  void wait_for_signal();
  /// Starts the clock of a shutdown: past it what still runs is killed, and what cannot be killed is left.
  void limit_the_stop();
  void stop();
  void next_step();

  const config::Config& config_;
  StateDir& state_dir_;
  boost::asio::io_context io_{1};
  exec::ZygoteWorkers workers_;  // before whatever has a thread
  TaskRegistry tasks_;
  exec::Plugins plugins_;
  db::SqliteStore store_;
  db::Recovered recovered_;  // empty once it is handed on
  Engine engine_;
  Retention retention_;
  OutputSweep sweep_;
  exec::ThreadExecutor threads_;
  exec::CoroutineExecutor coroutines_;
  exec::HostExecutor hosts_;
  exec::ProcessExecutor programs_;
  exec::PoolExecutor pools_;
  api::Server server_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer stop_timer_;
  std::vector<Step> steps_;  // of the stop, the next one last
  int signals_seen_ = 0;
};

}  // namespace stint
