#include "daemon/exec/worker_folders.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace stint::exec {
namespace {

std::string folder_of(const std::string& state_dir, const std::string& name) { return state_dir + "/workers/" + name; }

}  // namespace

UniqueFd connect_worker(const std::string& state_dir, const std::string& name) {
  // By way of /proc/self/fd, because a socket's path may be no longer than 107 bytes.
  const UniqueFd folder(::open(folder_of(state_dir, name).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return UniqueFd();
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return UniqueFd();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/sock", folder.get());
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return UniqueFd();
  return socket;
}

UniqueFd hold_worker(const std::string& state_dir, const std::string& name, pid_t pid) {
  UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!handle) return handle;
  // The lock is still held after the pidfd was opened: so the pid is still its holder's.
  const UniqueFd lock(::open((folder_of(state_dir, name) + "/lock").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (lock && ::flock(lock.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) return handle;
  return UniqueFd();
}

}  // namespace stint::exec
