// exec::Workers for tests of hosts alone: each is the test_host program, started by posix_spawn and watched by a pidfd.
//
// I/O thread only. The destructor kills and reaps what is left.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <filesystem>
#include <map>
#include <vector>

#include "daemon/exec/workers.hpp"

namespace stint::test {

class SpawnedWorkers final : public exec::Workers {
 public:
  /// `program` is the path of a host program that takes its listener as descriptor 3.
  SpawnedWorkers(boost::asio::io_context& io, std::filesystem::path program);
  ~SpawnedWorkers() override;

  void spawn(exec::WorkerKind kind, std::function<void(std::optional<Error>, exec::Worker)> done) override;
  void on_death(const std::string& name, std::function<void(exec::WorkerDeath)> died) override;
  void survey(std::function<void(exec::Survey)> done) override { done({}); }
  void reconnect(const std::string&, std::chrono::milliseconds, std::function<void(UniqueFd)>) override {}
  void remove(const std::string&) override {}
  void release(const std::string&) override {}
  void close(std::function<void()> done) override;

  /// The next `count` spawns fail.
  void fail_next(int count) { failing_ = count; }
  [[nodiscard]] std::vector<pid_t> pids() const;
  [[nodiscard]] int spawned() const { return spawned_; }

 private:
  struct Child {
    pid_t pid = -1;
    std::unique_ptr<boost::asio::posix::stream_descriptor> pidfd;
    std::function<void(exec::WorkerDeath)> died;
  };

  exec::Worker start();
  void reap(const std::string& name);

  boost::asio::io_context& io_;
  std::filesystem::path program_;
  std::filesystem::path directory_;
  std::map<std::string, Child> children_;
  std::function<void()> closed_;
  int spawned_ = 0;
  int failing_ = 0;
};

}  // namespace stint::test
