#include "daemon/exec/zygote_workers.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "common/open_files_limit.hpp"
#include "daemon/exec/worker_folders.hpp"

namespace stint::exec {
namespace {

using Clock = std::chrono::steady_clock;

/// How soon a zygote is started again that could not be started, or that has ended sooner than this.
constexpr std::chrono::seconds restart_pause{1};
/// How soon it is tried again to connect to a living runner that could not be connected to.
constexpr std::chrono::milliseconds connect_pause{50};

const char* role_name(WorkerKind kind) { return kind == WorkerKind::runner ? "runner" : "host"; }

/// That Asio has woken somebody is no proof: a watch that takes the place of one that was closed in the same turn gets its event.
bool has_ended(int pidfd) {
  pollfd one{pidfd, POLLIN, 0};
  return ::poll(&one, 1, 0) > 0;
}

Error closing_error() { return unavailable("the daemon is closing: it starts no workers", "closing"); }

}  // namespace

ZygoteWorkers::ZygoteWorkers(boost::asio::io_context& io, std::string program, std::string state_dir,
                             std::function<void(const std::string&)> log)
    : io_(io),
      program_(std::move(program)),
      state_dir_(std::move(state_dir)),
      log_(std::move(log)),
      open_files_(open_files_limit()),
      restart_timer_(io),
      connect_timer_(io) {
  start_zygote();
}

ZygoteWorkers::~ZygoteWorkers() {
  if (!zygote_watch_) return;
  boost::system::error_code ignored;
  zygote_watch_->close(ignored);
}

void ZygoteWorkers::start_zygote() {
  zygote_ = std::make_unique<Zygote>(io_, program_, state_dir_, open_files_);
  zygote_since_ = Clock::now();
  control_ = std::make_unique<PacketSocket>(
      io_, zygote_->take_control(), [this](const worker::FrameView& frame) { on_frame(frame); },
      [this] { ::kill(zygote_->pid(), SIGKILL); });  // its end is told by the pidfd; one that talks nonsense is ended
  watch_zygote();
  control_->post(worker::Sweep{});
}

void ZygoteWorkers::watch_zygote() {
  zygote_watch_ = std::make_unique<boost::asio::posix::stream_descriptor>(io_, ::fcntl(zygote_->pidfd(), F_DUPFD_CLOEXEC, 3));
  zygote_watch_->async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    has_ended(zygote_->pidfd()) ? on_zygote_ended() : watch_zygote();
  });
}

void ZygoteWorkers::on_zygote_ended() {
  control_.reset();
  zygote_watch_.reset();
  zygote_.reset();
  swept_ = false;
  if (closing_ && living_.empty()) return finish_close();
  if (log_) log_("the first worker process has ended unexpectedly: it is started again");
  for (auto& [name, living] : living_) {
    if (living.watch) continue;
    if (living.kind == WorkerKind::runner && living.pidfd) {
      watch(name, living);
    } else {
      ::syscall(SYS_pidfd_send_signal, living.pidfd.get(), SIGKILL, nullptr, 0);
    }
  }
  for (auto& [name, spawn] : ordered_) waiting_.push_back(std::move(spawn));
  ordered_.clear();
  if (Clock::now() - zygote_since_ < restart_pause) return restart_zygote_later();
  restart_zygote();
}

void ZygoteWorkers::restart_zygote() {
  try {
    start_zygote();
  } catch (const Error& error) {
    if (log_) log_(error.message() + "; trying again");
    restart_zygote_later();
  }
}

void ZygoteWorkers::restart_zygote_later() {
  restart_timer_.expires_after(restart_pause);
  restart_timer_.async_wait([this](const boost::system::error_code& stopped) {
    if (!stopped) restart_zygote();
  });
}

void ZygoteWorkers::on_frame(const worker::FrameView& frame) {
  using worker::FrameKind;
  switch (frame.kind) {
    case FrameKind::spawned: return on_spawned(worker::decode<worker::Spawned>(frame));
    case FrameKind::died: {
      auto died = worker::decode<worker::Died>(frame);
      return on_died(died.name, {died.name, died.pid, died.wait_status, std::move(died.runs)});
    }
    case FrameKind::swept: return on_swept(worker::decode<worker::Swept>(frame));
    default: throw worker::Decoder::malformed();
  }
}

void ZygoteWorkers::on_swept(worker::Swept swept) {
  swept_ = true;
  std::set<std::string> seen;
  for (const auto& dead : swept.workers) seen.insert(dead.name);
  for (const auto& alive : swept.alive) seen.insert(alive.name);
  // The hosts of a zygote that was lost are gone now, and perhaps a runner has died since. One without a folder has died before:
  // the lost zygote had cleared it, and could not say so any more.
  std::map<std::string, WorkerDeath> lost;
  for (const auto& [name, living] : living_) {
    if (living.kind == WorkerKind::host) {
      lost.emplace(name, WorkerDeath{name, living.pid, SIGKILL, {}});
    } else if (!living.watch || !seen.contains(name)) {
      clear(name);
    }
  }
  const auto is_ours = [this](const auto& found) { return living_.contains(found.name) || untold_.contains(found.name); };
  for (auto& dead : swept.workers) {
    note_name(dead.name);
    const auto ours = living_.find(dead.name);
    if (ours == living_.end()) continue;
    lost[dead.name] = {dead.name, ours->second.pid, worker::unknown_wait_status, std::move(dead.runs)};
  }
  for (const auto& alive : swept.alive) note_name(alive.name);
  found_ = std::move(swept);
  std::erase_if(found_.workers, is_ours);
  std::erase_if(found_.alive, is_ours);
  for (auto& [name, death] : lost) on_died(name, std::move(death));
  begin_survey();
  for (auto& spawn : std::exchange(waiting_, {})) order(std::move(spawn));
}

/// New workers get larger numbers than all whose folders are there.
void ZygoteWorkers::note_name(const std::string& name) {
  const std::size_t dash = name.rfind('-');
  std::uint32_t number = 0;
  if (dash == std::string::npos) return;
  std::from_chars(name.data() + dash + 1, name.data() + name.size(), number);
  std::uint32_t& last = last_number_[name.substr(0, dash)];
  last = std::max(last, number);
}

void ZygoteWorkers::survey(std::function<void(Survey)> done) {
  surveyed_ = std::move(done);
  if (swept_) begin_survey();
}

void ZygoteWorkers::begin_survey() {
  if (!surveyed_) return;
  worker::Swept found = std::exchange(found_, {});
  for (auto& dead : found.workers) {
    survey_.dead.push_back({dead.name, 0, worker::unknown_wait_status, std::move(dead.runs)});
  }
  for (const auto& alive : found.alive) {
    if (alive.pid == 0) continue;  // it was just being started and has nothing: it ends by itself
    Living& living = living_[alive.name];
    living.kind = WorkerKind::runner;
    living.pid = alive.pid;
    living.pidfd = hold_worker(state_dir_, alive.name, alive.pid);
    unconnected_.insert(alive.name);
    if (living.pidfd) {
      watch(alive.name, living);
    } else {
      clear(alive.name);
    }
  }
  connect_survey();
}

void ZygoteWorkers::connect_survey() {
  if (!surveyed_) return;
  for (auto name = unconnected_.begin(); name != unconnected_.end();) {
    UniqueFd socket = connect_worker(state_dir_, *name);
    if (!socket) {
      ++name;
      continue;
    }
    survey_.living.push_back({*name, living_.at(*name).pid, std::move(socket)});
    name = unconnected_.erase(name);
  }
  if (unconnected_.empty()) {
    return boost::asio::post(io_, [done = std::exchange(surveyed_, {}),
                                   survey = std::make_shared<Survey>(std::exchange(survey_, {}))] { done(std::move(*survey)); });
  }
  connect_timer_.expires_after(connect_pause);
  connect_timer_.async_wait([this, here = std::weak_ptr(here_)](const boost::system::error_code& stopped) {
    if (!stopped && !here.expired()) connect_survey();
  });
}

void ZygoteWorkers::watch(const std::string& name, Living& living) {
  living.watch = std::make_unique<boost::asio::posix::stream_descriptor>(io_, ::fcntl(living.pidfd.get(), F_DUPFD_CLOEXEC, 3));
  living.watch->async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [this, name, here = std::weak_ptr(here_)](const boost::system::error_code& error) {
                             if (!error && !here.expired()) on_watched_end(name);
                           });
}

void ZygoteWorkers::on_watched_end(const std::string& name) {
  const auto found = living_.find(name);
  if (found == living_.end()) return;
  if (!has_ended(found->second.pidfd.get())) return watch(name, found->second);
  found->second.watch.reset();  // so that the next sweep looks for it, where there is no zygote now
  clear(name);
}

void ZygoteWorkers::clear(const std::string& name) {
  // Without a zygote: the next one finds it when it sweeps.
  if (control_) control_->post(worker::ClearWorker{name});
}

void ZygoteWorkers::remove(const std::string& name) {
  if (control_) control_->post(worker::RemoveWorker{name});
}

void ZygoteWorkers::reconnect(const std::string& name, std::chrono::milliseconds pause, std::function<void(UniqueFd)> done) {
  auto& timer = reconnect_timers_.try_emplace(name, io_).first->second;
  timer.expires_after(pause);
  timer.async_wait([this, name, done = std::move(done), here = std::weak_ptr(here_)](const boost::system::error_code& stopped) {
    if (stopped || here.expired() || !living_.contains(name)) return;  // it may have died when the time had come already
    UniqueFd socket = connect_worker(state_dir_, name);
    if (!socket) return reconnect(name, connect_pause, done);
    reconnect_timers_.erase(name);
    done(std::move(socket));
  });
}

void ZygoteWorkers::release(const std::string& name) {
  living_.erase(name);
  reconnect_timers_.erase(name);
  if (closing_) close_zygote_if_last();
}

void ZygoteWorkers::spawn(WorkerKind kind, SpawnDone done) {
  if (closing_) return boost::asio::post(io_, [done = std::move(done)] { done(closing_error(), {}); });
  Spawn spawn{kind, std::move(done)};
  if (swept_) return order(std::move(spawn));
  waiting_.push_back(std::move(spawn));
}

void ZygoteWorkers::order(Spawn spawn) {
  const std::string role = role_name(spawn.kind);
  worker::SpawnWorker frame;
  frame.role = spawn.kind == WorkerKind::runner ? worker::WorkerRole::runner : worker::WorkerRole::host;
  frame.name = role + '-' + std::to_string(++last_number_[role]);
  control_->post(frame);
  ordered_.emplace(frame.name, std::move(spawn));
}

void ZygoteWorkers::on_spawned(const worker::Spawned& spawned) {
  auto found = ordered_.extract(spawned.name);
  if (found.empty()) throw worker::Decoder::malformed();
  const SpawnDone done = std::move(found.mapped().done);
  const WorkerKind kind = found.mapped().kind;
  if (!spawned.error.empty()) return done(unavailable("cannot start a worker: " + spawned.error, "workers"), {});
  Worker worker{spawned.name, spawned.pid, connect_worker(state_dir_, spawned.name)};
  const int connect_error = errno;
  Living living;
  living.kind = kind;
  living.pid = spawned.pid;
  living.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, spawned.pid, 0)));
  const bool connected = static_cast<bool>(worker.socket);
  // Nobody else will come to it, and it has nothing yet.
  if (!connected) ::syscall(SYS_pidfd_send_signal, living.pidfd.get(), SIGKILL, nullptr, 0);
  living_.emplace(spawned.name, std::move(living));
  if (connected && !closing_) return done(std::nullopt, std::move(worker));
  if (closing_) return done(closing_error(), {});
  done(unavailable("cannot connect to the worker " + spawned.name + ": " + std::strerror(connect_error), "workers"), {});
}

void ZygoteWorkers::on_death(const std::string& name, std::function<void(WorkerDeath)> died) {
  if (auto told = untold_.extract(name); !told.empty()) {
    return boost::asio::post(io_, [died = std::move(died), death = std::move(told.mapped())] { died(death); });
  }
  if (const auto found = living_.find(name); found != living_.end()) found->second.died = std::move(died);
}

void ZygoteWorkers::on_died(const std::string& name, WorkerDeath death) {
  auto found = living_.extract(name);
  if (found.empty()) return;
  reconnect_timers_.erase(name);
  death.pid = found.mapped().pid;  // the zygote does not know that of one that was not its child
  if (unconnected_.erase(name) != 0) {
    survey_.dead.push_back(std::move(death));
    connect_survey();
  } else if (found.mapped().died) {
    found.mapped().died(std::move(death));
  } else {
    untold_.emplace(name, std::move(death));
  }
  if (closing_) close_zygote_if_last();
}

void ZygoteWorkers::close_zygote_if_last() {
  if (living_.empty() && ordered_.empty() && control_) control_->close();
}

void ZygoteWorkers::close(std::function<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  for (auto& spawn : std::exchange(waiting_, {})) spawn.done(closing_error(), {});
  if (std::exchange(surveyed_, {})) {
    // Nobody has been told of these: they live on.
    for (const std::string& name : unconnected_) living_.erase(name);
    for (const Worker& worker : survey_.living) living_.erase(worker.name);
    connect_timer_.cancel();
  }
  if (!zygote_) return finish_close();
  close_zygote_if_last();
}

void ZygoteWorkers::finish_close() {
  restart_timer_.cancel();
  boost::asio::post(io_, [this] {
    if (const auto closed = std::exchange(closed_, {})) closed();
  });
}

}  // namespace stint::exec
