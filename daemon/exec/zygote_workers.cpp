#include "daemon/exec/zygote_workers.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace stint::exec {
namespace {

constexpr std::chrono::seconds restart_pause{1};

const char* role_name(WorkerKind kind) { return kind == WorkerKind::runner ? "runner" : "host"; }

Error closing_error() { return unavailable("the daemon is closing: it starts no workers", "closing"); }

}  // namespace

ZygoteWorkers::ZygoteWorkers(boost::asio::io_context& io, std::string program, std::string state_dir,
                             std::function<void(const std::string&)> log)
    : io_(io), program_(std::move(program)), state_dir_(std::move(state_dir)), log_(std::move(log)), restart_timer_(io) {
  start_zygote();
}

ZygoteWorkers::~ZygoteWorkers() {
  if (!zygote_watch_) return;
  boost::system::error_code ignored;
  zygote_watch_->close(ignored);
}

void ZygoteWorkers::start_zygote() {
  zygote_ = std::make_unique<Zygote>(io_, program_, state_dir_);
  swept_ = false;
  control_ = std::make_unique<PacketSocket>(
      io_, zygote_->take_control(), [this](const worker::FrameView& frame) { on_frame(frame); },
      [this] { ::kill(zygote_->pid(), SIGKILL); });  // its end is told by the pidfd; one that talks nonsense is ended
  watch_zygote();
  control_->post(worker::Sweep{});
}

void ZygoteWorkers::watch_zygote() {
  zygote_watch_ = std::make_unique<boost::asio::posix::stream_descriptor>(io_, ::fcntl(zygote_->pidfd(), F_DUPFD_CLOEXEC, 3));
  zygote_watch_->async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) on_zygote_ended();
  });
}

void ZygoteWorkers::on_zygote_ended() {
  control_.reset();
  zygote_watch_.reset();
  zygote_.reset();
  if (closing_ && living_.empty()) return finish_close();
  if (log_) log_("the first worker process has ended unexpectedly: its workers are ended and it is started again");
  // What they had begun is found by their slot files when the new zygote sweeps.
  for (const auto& [name, living] : living_) ::syscall(SYS_pidfd_send_signal, living.pidfd.get(), SIGKILL, nullptr, 0);
  for (auto& [name, spawn] : ordered_) waiting_.push_back(std::move(spawn));
  ordered_.clear();
  restart_zygote();
}

void ZygoteWorkers::restart_zygote() {
  try {
    start_zygote();
  } catch (const Error& error) {
    if (log_) log_(error.message() + "; trying again");
    restart_timer_.expires_after(restart_pause);
    restart_timer_.async_wait([this](const boost::system::error_code& stopped) {
      if (!stopped) restart_zygote();
    });
  }
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
  // The workers of a zygote that was lost are gone now.
  std::map<std::string, WorkerDeath> lost;
  for (const auto& [name, living] : living_) lost.emplace(name, WorkerDeath{name, living.pid, SIGKILL, {}});
  for (auto& dead : swept.workers) {
    if (const auto found = lost.find(dead.name); found != lost.end()) found->second.runs = std::move(dead.runs);
  }
  for (auto& [name, death] : lost) on_died(name, std::move(death));
  for (auto& spawn : std::exchange(waiting_, {})) order(std::move(spawn));
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
  if (!spawned.error.empty()) return done(unavailable("cannot start a worker: " + spawned.error, "workers"), {});
  Worker worker{spawned.name, spawned.pid, connect_to(spawned.name)};
  const int connect_error = errno;
  Living living;
  living.pid = spawned.pid;
  living.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, spawned.pid, 0)));
  const bool connected = static_cast<bool>(worker.socket);
  living_.emplace(spawned.name, std::move(living));
  if (connected && !closing_) return done(std::nullopt, std::move(worker));
  if (closing_) return done(closing_error(), {});
  done(unavailable("cannot connect to the worker " + spawned.name + ": " + std::strerror(connect_error), "workers"), {});
}

/// By way of /proc/self/fd, because a socket's path may be no longer than 107 bytes.
UniqueFd ZygoteWorkers::connect_to(const std::string& name) const {
  const UniqueFd folder(::open((state_dir_ + "/workers/" + name).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return UniqueFd();
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return UniqueFd();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/sock", folder.get());
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return UniqueFd();
  return socket;
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
  if (found.mapped().died) {
    found.mapped().died(std::move(death));
  } else {
    untold_.emplace(name, std::move(death));
  }
  if (closing_ && living_.empty() && ordered_.empty()) control_->close();
}

void ZygoteWorkers::close(std::function<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  for (auto& spawn : std::exchange(waiting_, {})) spawn.done(closing_error(), {});
  if (!zygote_) return finish_close();
  if (living_.empty() && ordered_.empty()) control_->close();
}

void ZygoteWorkers::finish_close() {
  restart_timer_.cancel();
  boost::asio::post(io_, [this] {
    if (const auto closed = std::exchange(closed_, {})) closed();
  });
}

}  // namespace stint::exec
