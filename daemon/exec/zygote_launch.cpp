#include "daemon/exec/zygote_launch.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <boost/process/v2/process.hpp>
#include <cerrno>
#include <cstring>
#include <vector>

#include "common/error.hpp"

namespace stint::exec {
namespace {

namespace process = boost::process::v2;

/// Lets the child, and only it, keep the descriptor over its exec, and gives it its limit of open files.
struct ChildSetup {
  int fd = -1;
  rlimit open_files{};
  template <class Launcher>
  process::error_code on_exec_setup(Launcher&, const process::filesystem::path&, const char* const*&) {
    if (::fcntl(fd, F_SETFD, 0) == 0 && ::setrlimit(RLIMIT_NOFILE, &open_files) == 0) return {};
    return {errno, boost::system::system_category()};
  }
};

}  // namespace

struct Zygote::Process {
  process::process process;
};

Zygote::Zygote(boost::asio::io_context& io, const std::string& program, const std::string& state_dir, const rlimit& open_files) {
  // A failing exec would run our destructors a second time, in the child, so what can be known before is asked before.
  if (::access(program.c_str(), X_OK) != 0) {
    throw unavailable(
        "cannot start the worker program " + program + ": " + std::strerror(errno) + "; it is installed beside stintd",
        "workers");
  }
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw unavailable(std::string("cannot make a socket pair: ") + std::strerror(errno), "workers");
  }
  control_.reset(ends[0]);
  const UniqueFd theirs(ends[1]);
  const std::vector<std::string> args{"zygote", std::to_string(theirs.get()), state_dir};
  try {
    process_.reset(
        new Process{process::process(io, process::filesystem::path(program), args, ChildSetup{theirs.get(), open_files})});
  } catch (const std::exception& error) {
    throw unavailable("cannot start the worker program " + program + ": " + error.what(), "workers");
  }
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid(), 0)));
  if (!pidfd_) throw unavailable(std::string("cannot watch the worker program: ") + std::strerror(errno), "workers");
}

Zygote::~Zygote() = default;

pid_t Zygote::pid() const { return process_->process.id(); }

}  // namespace stint::exec
