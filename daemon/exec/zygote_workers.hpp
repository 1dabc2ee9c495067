// The daemon's end of the zygote: starts workers, connects to them, tells of their deaths, takes over runners.
//
// Construct it before the daemon has threads: the constructor starts the zygote. What earlier daemons have left is looked
// through first (`survey` asks for what was found); what is asked for meanwhile waits. The death of a runner that was
// taken over shows by its pidfd, and the zygote clears up after it. Should the zygote itself be killed, its hosts are
// killed, its runners go on and are watched like those taken over, and a new zygote is started (a rare fork of the large
// process). I/O thread only; the constructor throws Error `unavailable`.
#pragma once

#include <sys/resource.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
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
  void survey(std::function<void(Survey)> done) override;
  void reconnect(const std::string& name, std::chrono::milliseconds pause, std::function<void(UniqueFd)> done) override;
  void remove(const std::string& name) override;
  void release(const std::string& name) override;
  void close(std::function<void()> done) override;

  /// The survey has been told.
  [[nodiscard]] bool surveyed() const { return swept_ && !surveyed_; }
  [[nodiscard]] pid_t zygote_pid() const { return zygote_ ? zygote_->pid() : 0; }

 private:
  using SpawnDone = std::function<void(std::optional<Error>, Worker)>;
  struct Spawn {
    WorkerKind kind{};
    SpawnDone done;
  };
  struct Living {
    WorkerKind kind{};
    pid_t pid = 0;
    UniqueFd pidfd;                                                // to end or to watch it with when the zygote is lost
    std::unique_ptr<boost::asio::posix::stream_descriptor> watch;  // where it is not the zygote's child
    std::function<void(WorkerDeath)> died;
  };

  void start_zygote();
  void watch_zygote();
  void on_zygote_ended();
  void restart_zygote();
  void restart_zygote_later();
  void on_frame(const worker::FrameView& frame);
  void on_spawned(const worker::Spawned& spawned);
  void on_died(const std::string& name, WorkerDeath death);
  void on_swept(worker::Swept swept);
  void order(Spawn spawn);
  /// Its death is seen here, and its folder cleared by the zygote then.
  void watch(const std::string& name, Living& living);
  void on_watched_end(const std::string& name);
  void clear(const std::string& name);
  void note_name(const std::string& name);
  void begin_survey();
  void connect_survey();
  void close_zygote_if_last();
  void finish_close();

  boost::asio::io_context& io_;
  std::string program_;
  std::string state_dir_;
  std::function<void(const std::string&)> log_;
  rlimit open_files_;  // of the zygotes, the later ones too, whatever we have by then
  std::unique_ptr<Zygote> zygote_;
  std::chrono::steady_clock::time_point zygote_since_;
  std::unique_ptr<PacketSocket> control_;
  std::unique_ptr<boost::asio::posix::stream_descriptor> zygote_watch_;
  boost::asio::steady_timer restart_timer_;
  bool swept_ = false;
  std::deque<Spawn> waiting_;             // until the sweep is done
  std::map<std::string, Spawn> ordered_;  // by name
  std::map<std::string, Living> living_;
  std::map<std::string, WorkerDeath> untold_;                      // died before anybody asked to be told
  std::map<std::string, std::uint32_t, std::less<>> last_number_;  // by role
  worker::Swept found_;                                            // by the sweep, until the survey
  Survey survey_;                                                  // under way
  std::set<std::string> unconnected_;                              // living ones of the survey
  boost::asio::steady_timer connect_timer_;
  std::map<std::string, boost::asio::steady_timer> reconnect_timers_;  // by name
  std::function<void(Survey)> surveyed_;
  std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
  bool closing_ = false;
  std::function<void()> closed_;
};

}  // namespace stint::exec
