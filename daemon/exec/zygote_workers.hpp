// The daemon's end of the zygote: starts workers, connects to them, tells of their deaths.
//
// Construct it before the daemon has threads: the constructor starts the zygote. Workers of an earlier daemon are swept
// away first; what is asked for meanwhile waits. Should the zygote itself be killed, all its workers are
// killed, a new zygote is started (a rare fork of the large process) and sweeps, and only then are their deaths told.
// I/O thread only; the constructor throws Error `unavailable`.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "daemon/exec/packet_socket.hpp"
#include "daemon/exec/workers.hpp"
#include "daemon/exec/zygote_launch.hpp"

namespace stint::exec {

class ZygoteWorkers final : public Workers {
 public:
  /// `program`: the path of stint-worker. `log` gets a sentence for whoever runs the daemon, when something went wrong.
  ZygoteWorkers(boost::asio::io_context& io, std::string program, std::string state_dir,
                std::function<void(const std::string&)> log = {});
  ~ZygoteWorkers() override;

  void spawn(WorkerKind kind, std::function<void(std::optional<Error>, Worker)> done) override;
  void on_death(const std::string& name, std::function<void(WorkerDeath)> died) override;
  void close(std::function<void()> done) override;

  [[nodiscard]] pid_t zygote_pid() const { return zygote_ ? zygote_->pid() : 0; }

 private:
  using SpawnDone = std::function<void(std::optional<Error>, Worker)>;
  struct Spawn {
    WorkerKind kind{};
    SpawnDone done;
  };
  struct Living {
    pid_t pid = 0;
    UniqueFd pidfd;  // to end it with when the zygote is lost
    std::function<void(WorkerDeath)> died;
  };

  void start_zygote();
  void watch_zygote();
  void on_zygote_ended();
  void restart_zygote();
  void on_frame(const worker::FrameView& frame);
  void on_spawned(const worker::Spawned& spawned);
  void on_died(const std::string& name, WorkerDeath death);
  void on_swept(worker::Swept swept);
  void order(Spawn spawn);
  [[nodiscard]] UniqueFd connect_to(const std::string& name) const;
  void finish_close();

  boost::asio::io_context& io_;
  std::string program_;
  std::string state_dir_;
  std::function<void(const std::string&)> log_;
  std::unique_ptr<Zygote> zygote_;
  std::unique_ptr<PacketSocket> control_;
  std::unique_ptr<boost::asio::posix::stream_descriptor> zygote_watch_;
  boost::asio::steady_timer restart_timer_;
  bool swept_ = false;
  std::deque<Spawn> waiting_;             // until the sweep is done
  std::map<std::string, Spawn> ordered_;  // by name
  std::map<std::string, Living> living_;
  std::map<std::string, WorkerDeath> untold_;  // died before anybody asked to be told
  std::map<std::string, std::uint32_t> last_number_;
  bool closing_ = false;
  std::function<void()> closed_;
};

}  // namespace stint::exec
