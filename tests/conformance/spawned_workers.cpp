#include "tests/conformance/spawned_workers.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <boost/asio/post.hpp>
#include <cstring>
#include <stdexcept>

namespace stint::test {
namespace {

sockaddr_un address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path) throw std::runtime_error("the socket's path is too long");
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

}  // namespace

SpawnedWorkers::SpawnedWorkers(boost::asio::io_context& io, std::filesystem::path program)
    : io_(io), program_(std::move(program)) {
  std::string pattern = (std::filesystem::temp_directory_path() / "stint-test-XXXXXX").native();
  require(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  directory_ = pattern;
}

SpawnedWorkers::~SpawnedWorkers() {
  for (const auto& [name, child] : children_) {
    ::kill(child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void SpawnedWorkers::spawn(exec::WorkerKind, std::function<void(std::optional<Error>, exec::Worker)> done) {
  boost::asio::post(io_, [this, done = std::move(done)] {
    if (failing_ > 0) {
      --failing_;
      done(unavailable("the test lets this start fail", "test"), {});
    } else {
      done(std::nullopt, start());
    }
  });
}

exec::Worker SpawnedWorkers::start() {
  const std::string name = "host-" + std::to_string(++spawned_);
  const auto path = directory_ / name;
  const sockaddr_un address = address_of(path);
  const UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  require(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "bind");
  require(::listen(listener.get(), 1) == 0, "listen");

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, listener.get(), 3);
  char* arguments[] = {const_cast<char*>(program_.c_str()), nullptr};
  pid_t pid = -1;
  errno = ::posix_spawn(&pid, program_.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  require(errno == 0, "posix_spawn");

  exec::Worker worker{name, pid, UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0))};
  require(::connect(worker.socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "connect");
  ::fcntl(worker.socket.get(), F_SETFL, O_NONBLOCK);

  Child& child = children_[name];
  child.pid = pid;
  child.pidfd = std::make_unique<boost::asio::posix::stream_descriptor>(io_, static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  child.pidfd->async_wait(boost::asio::posix::stream_descriptor::wait_read, [this, name](const boost::system::error_code& error) {
    if (!error) reap(name);
  });
  return worker;
}

void SpawnedWorkers::reap(const std::string& name) {
  auto node = children_.extract(name);
  Child& child = node.mapped();
  exec::WorkerDeath death{name, child.pid, 0, {}};
  ::waitpid(child.pid, &death.wait_status, 0);
  if (child.died) child.died(death);
  if (children_.empty() && closed_) std::exchange(closed_, nullptr)();
}

void SpawnedWorkers::on_death(const std::string& name, std::function<void(exec::WorkerDeath)> died) {
  children_.at(name).died = std::move(died);
}

void SpawnedWorkers::close(std::function<void()> done) {
  if (children_.empty()) {
    boost::asio::post(io_, std::move(done));
  } else {
    closed_ = std::move(done);
  }
}

std::vector<pid_t> SpawnedWorkers::pids() const {
  std::vector<pid_t> all;
  for (const auto& [name, child] : children_) all.push_back(child.pid);
  return all;
}

}  // namespace stint::test
