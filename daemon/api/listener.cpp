#include "daemon/api/listener.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "common/protocol.hpp"
#include "common/socket_paths.hpp"

namespace stint::api {
namespace {

constexpr int accepts_a_turn = 64;
constexpr auto pause_without_descriptors = std::chrono::milliseconds(100);

Error cannot(const std::string& what, const std::string& path, int error) {
  return unavailable("cannot " + what + " " + path + ": " + std::strerror(error), std::strerror(error));
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    throw unavailable("the socket's path has " + std::to_string(path.size()) + " bytes and may have 1 to " +
                          std::to_string(sizeof address.sun_path - 1) + ": choose a shorter one with --socket (" + path + ")",
                      "path too long");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

UniqueFd unix_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) throw cannot("make", "a socket", errno);
  return fd;
}

void remove_stale(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return;
    throw cannot("look at", path, errno);
  }
  if (!S_ISSOCK(status.st_mode)) {
    throw unavailable(path + " is not a socket and is left alone: choose another path with --socket", "path taken");
  }
  if (is_served(path)) {
    throw unavailable("a daemon listens at " + path + " already: use it, stop it, or choose another path with --socket",
                      "socket in use");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw cannot("remove the stale socket", path, errno);
}

}  // namespace

bool is_served(const std::string& path) {
  if (path.empty() || path.size() > socket_path_bytes_max) return false;
  const sockaddr_un address = address_of(path);
  const UniqueFd probe = unix_socket();
  return ::connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN || errno == EINPROGRESS;
}

UniqueFd listen_at(const std::string& path) {
  const sockaddr_un address = address_of(path);
  remove_stale(path);
  UniqueFd fd = unix_socket();
  // The mode set before bind is the one that the file is made with (unix(7), Linux): no moment in which others may connect.
  if (::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0) throw cannot("set the mode of", path, errno);
  if (::bind(fd.get(), generic(address), sizeof address) != 0) throw cannot("listen at", path, errno);
  if (::listen(fd.get(), SOMAXCONN) != 0) throw cannot("listen at", path, errno);
  return fd;
}

void require_private_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), S_IRWXU) != 0 && errno != EEXIST) throw cannot("make the directory", directory, errno);
  struct stat status {};
  if (::lstat(directory.c_str(), &status) != 0) throw cannot("look at", directory, errno);
  const bool ours = S_ISDIR(status.st_mode) && status.st_uid == ::geteuid() && (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
  if (ours) return;
  throw unavailable(directory +
                        " is not a directory of this user alone (mode 0700): somebody else may have made it; remove it, "
                        "or choose another socket with --socket",
                    "directory not private");
}

void send_refusal(int fd, const Error& error) {
  std::string line = R"({"jsonrpc":"2.0","id":null,"error":)";
  json::Writer writer(line);
  protocol::encode_error(writer, error);
  line += "}\n";
  // A peer that cannot take one line at once has no claim to it.
  (void)::send(fd, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

Listener::Listener(boost::asio::io_context& io, const Options& options, Stats& stats, Accepted accepted)
    : descriptor_(io), pause_(io), options_(options), stats_(stats), accepted_(std::move(accepted)) {}

void Listener::open(UniqueFd adopted) {
  const std::string& path = options_.socket_path;
  if (!adopted) {
    if (options_.private_directory) require_private_directory(path.substr(0, path.rfind('/')));
    adopted = listen_at(path);
    owns_path_ = true;
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) throw cannot("look at", path, errno);
    device_ = status.st_dev;
    inode_ = status.st_ino;
  } else if (::fcntl(adopted.get(), F_SETFL, O_NONBLOCK) != 0 || ::fcntl(adopted.get(), F_SETFD, FD_CLOEXEC) != 0) {
    throw cannot("use", "the socket that was passed to the daemon", errno);
  }
  reserve_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  descriptor_.assign(adopted.release());
  wait();
}

void Listener::close() {
  if (!descriptor_.is_open()) return;
  struct stat status {};
  const char* const path = options_.socket_path.c_str();
  if (owns_path_ && ::lstat(path, &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) ::unlink(path);
  boost::system::error_code ignored;
  descriptor_.close(ignored);
  pause_.cancel();
}

void Listener::wait() {
  descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (error || !self->descriptor_.is_open()) return;
                           self->accept_some();
                         });
}

void Listener::accept_some() {
  for (int i = 0; i < accepts_a_turn; ++i) {
    UniqueFd socket(::accept4(descriptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      take(std::move(socket));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return out_of_descriptors();
    if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    // Anything else concerns one connection that is gone already (accept(2)).
  }
  wait();
}

void Listener::take(UniqueFd socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
  if (peer.uid != options_.daemon_uid && peer.uid != 0) {
    ++stats_.refused;
    spdlog::warn("refused a connection of uid {} (pid {})", peer.uid, peer.pid);
    return send_refusal(socket.get(), Error(ErrorKind::permission_denied, "this daemon serves another user"));
  }
  if (stats_.connections >= options_.connections_max) {
    ++stats_.refused;
    return send_refusal(socket.get(), limit_exceeded("the daemon has as many connections as it may: try again later",
                                                     "connections_max", options_.connections_max, "api.connections"));
  }
  ++stats_.accepted;
  accepted_(std::move(socket), peer.uid);
}

void Listener::out_of_descriptors() {
  ++stats_.refused;
  reserve_.reset();
  if (const UniqueFd socket(::accept4(descriptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)); socket) {
    send_refusal(socket.get(), limit_exceeded("the daemon has no descriptor left for another connection: try again later",
                                              "open_files", stats_.connections, "the daemon's limit of open files"));
  }
  reserve_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  pause_.expires_after(pause_without_descriptors);
  pause_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && self->descriptor_.is_open()) self->wait();
  });
}

}  // namespace stint::api
