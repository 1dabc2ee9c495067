#include "daemon/daemon.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <csignal>
#include <utility>

#include "common/socket_paths.hpp"
#include "daemon/host/notify.hpp"
#include "daemon/tasks/builtin.hpp"

namespace stint {
namespace {

/// From SIGKILL for everything to giving up on threads whose task ignores its stop token.
constexpr auto last_wait = std::chrono::seconds(10);

/// From a program's end to the next start by way of the daemon, commits aside: three threads wake for it.
constexpr Duration turnaround = std::chrono::microseconds(300);

void log_warning(const std::string& text) { spdlog::warn("{}", text); }

/// stint-worker lies beside stintd.
std::string worker_program() { return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "stint-worker").string(); }

TaskRegistry registered_tasks() {
  TaskRegistry tasks;
  tasks::register_builtin_tasks(tasks);
  return tasks;
}

EngineOptions engine_options(const config::Config& config, const StateDir& state_dir, std::string instance) {
  EngineOptions options;
  options.core.slots = {config.process_slots, config.process_hosts, config.thread_threads, config.coroutine_slots};
  options.core.ageing = config.scheduling_ageing;
  options.core.turnaround = turnaround;
  options.instance = std::move(instance);
  options.output_dir = state_dir.output();
  return options;
}

exec::ProcessOptions process_options(const config::Config& config, const StateDir& state_dir, const std::string& instance) {
  exec::ProcessOptions options;
  options.out_dir = state_dir.output();
  options.instance = instance;
  options.socket_path = config.socket;
  options.runners = config.process_runners;
  options.slots = config.process_slots;
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

Daemon::Daemon(const config::Config& config, const StateDir& state_dir, const std::string& instance)
    : config_(config),
      tasks_(registered_tasks()),
      workers_(io_, worker_program(), state_dir.path(), log_warning),
      store_([this](std::function<void()> work) { boost::asio::post(io_, std::move(work)); }),
      engine_(io_, store_, tasks_, engine_options(config, state_dir, instance)),
      threads_(io_, engine_, tasks_, config.thread_threads),
      coroutines_(io_, engine_, tasks_),
      hosts_(
          io_, workers_, engine_, tasks_, config.process_hosts,
          [this](std::function<void()> work, std::function<void()> done) { threads_.offload(std::move(work), std::move(done)); }),
      programs_(io_, workers_, engine_, process_options(config, state_dir, instance)),
      server_(io_, engine_, server_options(config)),
      signals_(io_, SIGTERM, SIGINT),
      stop_timer_(io_) {
  engine_.attach(core::Lane::program, programs_);
  engine_.attach(core::Lane::host, hosts_);
  engine_.attach(core::Lane::thread, threads_);
  engine_.attach(core::Lane::coroutine, coroutines_);
  engine_.attach(
      [this](std::function<void()> work, std::function<void()> done) { threads_.offload(std::move(work), std::move(done)); });
  engine_.on_shutdown([this] { limit_the_stop(); });
  engine_.on_idle([this] { stop(); });
}

int Daemon::run() {
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
    engine_.shutdown(config_.daemon_on_stop == config::OnStop::drain ? ShutdownMode::drain : ShutdownMode::cancel);
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
      [this](auto next) { programs_.close(std::move(next)); },
      [this](auto next) { server_.stop(true, std::move(next)); },
      [this](auto next) {
        engine_.feed().close();
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
