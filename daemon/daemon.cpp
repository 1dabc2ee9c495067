#include "daemon/daemon.hpp"

#include <malloc.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <csignal>
#include <utility>

#include "common/open_files_limit.hpp"
#include "common/socket_paths.hpp"
#include "daemon/host/notify.hpp"
#include "daemon/tasks/builtin.hpp"

namespace stint {
namespace {

/// From SIGKILL for everything to giving up on threads whose task ignores its stop token.
constexpr auto last_wait = std::chrono::seconds(10);

/// From a program's end to the next start by way of the daemon, commits aside: three threads wake for it.
constexpr Duration turnaround = std::chrono::microseconds(300);

/// An end is told by its runner, and recorded by the store, in company: each waits up to 10 ms, and nearly always less.
constexpr Duration company = std::chrono::milliseconds(12);

constexpr int exit_store_failed = 1;

ShutdownMode mode_of(config::OnStop on_stop) {
  switch (on_stop) {
    case config::OnStop::drain: return ShutdownMode::drain;
    case config::OnStop::cancel: return ShutdownMode::cancel;
    default: return ShutdownMode::detach;
  }
}

void log_warning(const std::string& text) { spdlog::warn("{}", text); }

/// stint-worker lies beside stintd.
std::string worker_program() { return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "stint-worker").string(); }

TaskRegistry registered_tasks() {
  TaskRegistry tasks;
  tasks::register_builtin_tasks(tasks);
  return tasks;
}

/// Fills `tasks`, and says what came of each.
exec::Plugins load_plugins(const config::Config& config, TaskRegistry& tasks) {
  if (!config.plugins_directory) return {};
  exec::PluginOptions options;
  options.directory = *config.plugins_directory;
  options.worker_program = worker_program();
  exec::Plugins plugins(options, tasks);
  for (const exec::PluginState& plugin : plugins.states()) {
    if (plugin.refused) {
      spdlog::warn("plug-in {} is refused: {}", plugin.file, *plugin.refused);
    } else {
      spdlog::info("plug-in {} has {} tasks", plugin.file, plugin.tasks.size());
    }
  }
  return plugins;
}

db::SqliteOptions store_options(const StateDir& state_dir) {
  db::SqliteOptions options;
  options.path = state_dir.path() / "stint.db";
  options.ballast_path = state_dir.path() / "ballast";
  options.output_folder = state_dir.output();
  return options;
}

EngineOptions engine_options(const config::Config& config, const StateDir& state_dir, const db::Recovered& recovered,
                             const exec::Plugins& plugins, std::string instance) {
  EngineOptions options;
  options.core.slots = {config.process_slots, config.process_hosts, config.thread_threads, config.coroutine_slots};
  options.core.ageing = config.scheduling_ageing;
  options.core.turnaround = turnaround;
  options.core.company = company;
  options.core.first_id = recovered.next_id;
  options.core.first_seq = recovered.next_seq;
  options.core.first_lease = recovered.next_lease;
  options.core.reclaim = config.lease_reclaim;
  options.instance = std::move(instance);
  options.output_dir = state_dir.output();
  options.plugins = plugins.states();
  return options;
}

exec::ProcessOptions process_options(const config::Config& config, const StateDir& state_dir, std::uint32_t epoch,
                                     const std::string& instance) {
  exec::ProcessOptions options;
  options.out_dir = state_dir.output();
  options.instance = instance;
  options.epoch = epoch;
  options.socket_path = config.socket;
  options.runners = config.process_runners;
  options.slots = config.process_slots;
  options.log = log_warning;
  return options;
}

exec::PoolOptions pool_options(const config::Config& config, const StateDir& state_dir, std::uint32_t epoch,
                               const std::string& instance) {
  exec::PoolOptions options;
  options.hello.epoch = epoch;
  options.hello.instance = instance;
  options.hello.socket_path = config.socket;
  options.hello.out_dir = state_dir.output();
  options.log = log_warning;
  return options;
}

api::Options server_options(const config::Config& config) {
  api::Options options;
  options.socket_path = config.socket;
  options.private_directory = config.socket == default_socket_path();
  options.connections_max = config.api_connections;
  options.send_timeout = config.api_send_timeout;
  options.daemon_uid = ::geteuid();
  return options;
}

}  // namespace

Daemon::Daemon(const config::Config& config, StateDir& state_dir, const std::string& instance)
    : config_(config),
      state_dir_(state_dir),
      workers_(io_, worker_program(), state_dir.path(), log_warning),
      tasks_(registered_tasks()),
      plugins_(load_plugins(config, tasks_)),
      store_([this](std::function<void()> work) { boost::asio::post(io_, std::move(work)); }, store_options(state_dir)),
      recovered_(store_.recover()),
      engine_(io_, store_, tasks_, engine_options(config, state_dir, recovered_, plugins_, instance)),
      retention_(io_, store_, engine_.feed(), {config.retention_age, config.retention_jobs, config.retention_output_bytes},
                 [this](std::vector<JobId> ids) { engine_.forget(std::move(ids)); }),
      sweep_(
          engine_.scheduler(), store_, state_dir.output(), recovered_.next_id,
          [this](std::function<void()> work, std::function<void()> done) { threads_.offload(std::move(work), std::move(done)); }),
      threads_(io_, engine_, tasks_, config.thread_threads),
      coroutines_(io_, engine_, tasks_),
      hosts_(
          io_, workers_, engine_, tasks_, config.process_hosts,
          [this](std::function<void()> work, std::function<void()> done) { threads_.offload(std::move(work), std::move(done)); }),
      programs_(io_, workers_, engine_, process_options(config, state_dir, recovered_.epoch, instance)),
      pools_(io_, workers_, engine_, pool_options(config, state_dir, recovered_.epoch, instance)),
      server_(io_, engine_, server_options(config)),
      signals_(io_, SIGTERM, SIGINT),
      stop_timer_(io_) {
  engine_.attach(core::Lane::program, programs_);
  engine_.attach(pools_);
  engine_.attach(core::Lane::host, hosts_);
  engine_.attach(core::Lane::thread, threads_);
  engine_.attach(core::Lane::coroutine, coroutines_);
  engine_.attach(
      [this](std::function<void()> work, std::function<void()> done) { threads_.offload(std::move(work), std::move(done)); });
  engine_.on_finished([this](const core::FinishedJob& job) { retention_.note_finished(job); });
  engine_.on_refusing([this](const std::string& reason) {
    if (reason.empty()) return spdlog::warn("the store takes new work again");
    spdlog::warn("the store refuses new work: {}. Make room in {}: it goes on by itself, and what ends is recorded meanwhile",
                 reason, config_.state_dir.string());
  });
  engine_.on_shutdown([this] {
    retention_.close();
    limit_the_stop();
  });
  engine_.on_idle([this] { stop(); });
}

/// Who ran when the last daemon ended is found out by its runners; nobody waits for one that does not answer yet.
void Daemon::recover() {
  std::vector<worker::Run> started;
  for (const core::StoredJob& job : recovered_.jobs) {
    const bool on_a_runner = job.lane == core::Lane::program || job.lane == core::Lane::pool;
    if (job.has_started() && on_a_runner) started.push_back({job.id, job.attempt});
  }
  if (!recovered_.jobs.empty()) {
    spdlog::info("{} unfinished jobs are taken over, {} of them programs that had started", recovered_.jobs.size(),
                 started.size());
  }
  const bool rebooted = state_dir_.rebooted();
  if (started.empty()) note_boot();  // what is started from here on is of this boot
  programs_.recover(std::move(started), rebooted, [this] {
    spdlog::info("all programs that had started are accounted for");
    sweep_.begin();
    note_boot_when_recorded();
  });
  engine_.recover(std::exchange(recovered_, {}), config_.pools);
  ::malloc_trim(0);  // specifications of who needs permits were read, and most of them are not kept
}

void Daemon::note_boot() {
  try {
    state_dir_.note_boot();
  } catch (const StateDirError& error) {
    spdlog::warn("{}: the next daemon will think that the machine was restarted", error.what());
  }
}

void Daemon::note_boot_when_recorded() {
  engine_.when_durable(engine_.newest(), [this](const std::optional<Error>& refused) {
    // On a full disk new work is refused before the ends that came earlier are recorded.
    refused ? note_boot_when_recorded() : note_boot();
  });
}

/// Nothing is acknowledged from here on, and what was stands: the next start goes on from it.
void Daemon::on_store_failure(const std::string& reason) {
  spdlog::critical("the store has failed: {}. Ending at once; the next start goes on from what is on disk", reason);
  spdlog::default_logger()->flush();
  ::_exit(exit_store_failed);
}

int Daemon::run() {
  raise_open_files_limit();  // for api.connections; workers have been given what it was
  store_.on_failure([this](const std::string& reason) { on_store_failure(reason); });
  recover();
  retention_.look();
  server_.start();
  wait_for_signal();
  spdlog::info("ready on {}", config_.socket.string());
  host::notify("READY=1");
  io_.run();
  spdlog::info("stopped");
  return 0;
}

void Daemon::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int number) {
    if (error) return;
    on_signal(number);
    wait_for_signal();
  });
}

void Daemon::on_signal(int number) {
  ++signals_seen_;
  spdlog::info("signal {}: {}", number, signals_seen_ == 1 ? "stopping" : "again: killing what still runs");
  if (signals_seen_ > 1) {
    engine_.kill_all();
  } else {
    engine_.shutdown(mode_of(config_.daemon_on_stop));
  }
}

void Daemon::limit_the_stop() {
  host::notify("STOPPING=1");
  stop_timer_.expires_after(config_.stop_timeout);
  stop_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    spdlog::warn("jobs still run after stop.timeout: killing them");
    engine_.kill_all();
    stop_timer_.expires_after(last_wait);
    stop_timer_.async_wait([this](const boost::system::error_code& again) {
      if (again) return;
      // A thread cannot be killed; workers end by themselves when their sockets close.
      spdlog::error("a task ignores its stop token: leaving without it");
      server_.stop(false, [] { ::_exit(1); });
    });
  });
}

void Daemon::stop() {
  spdlog::info("no job is left, closing");
  steps_ = {
      [this](auto next) { store_.close(std::move(next)); },
      [this](auto next) { workers_.close(std::move(next)); },
      [this](auto next) { threads_.close(std::move(next)); },
      [this](auto next) { coroutines_.close(std::move(next)); },
      [this](auto next) { hosts_.close(std::move(next)); },
      [this](auto next) { pools_.close(std::move(next)); },
      [this](auto next) { engine_.detaching() ? programs_.detach(std::move(next)) : programs_.close(std::move(next)); },
      [this](auto next) { server_.stop(true, std::move(next)); },
      [this](auto next) {
        engine_.feed().close();
        engine_.close();
        next();
      },
  };
  next_step();
}

void Daemon::next_step() {
  if (steps_.empty()) {
    stop_timer_.cancel();
    signals_.cancel();
    return;
  }
  const Step step = std::move(steps_.back());
  steps_.pop_back();
  step([this] { boost::asio::post(io_, [this] { next_step(); }); });
}

}  // namespace stint
