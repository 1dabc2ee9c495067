// See line_socket.hpp.
#include "tests/bench/line_socket.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace stint::bench {
namespace {

constexpr std::size_t read_bytes = 256U << 10U;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

}  // namespace

LineSocket::LineSocket(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (fd_ < 0) fail("socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw std::runtime_error("the path of the socket is too long: " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("connect " + path);
}

LineSocket::~LineSocket() { close(fd_); }

void LineSocket::send_some() {
  const ssize_t sent = send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) fail("send");
  if (sent > 0) sent_ += static_cast<std::size_t>(sent);
  if (sent_ == out_.size()) {
    out_.clear();
    sent_ = 0;
  }
}

void LineSocket::flush() {
  if (!out_.empty()) send_some();
}

void LineSocket::exchange() {
  flush();
  if (!out_.empty()) {
    pollfd ready{fd_, POLLIN | POLLOUT, 0};
    if (poll(&ready, 1, -1) < 0 && errno != EINTR) fail("poll");
    if ((ready.revents & POLLOUT) != 0) send_some();
    if ((ready.revents & (POLLIN | POLLHUP)) == 0) return;
  }
  if (taken_ > 0) {
    in_.erase(0, taken_);
    scanned_ -= taken_;
    taken_ = 0;
  }
  const std::size_t held = in_.size();
  in_.resize(held + read_bytes);
  const ssize_t got = recv(fd_, in_.data() + held, read_bytes, 0);
  in_.resize(held + (got > 0 ? static_cast<std::size_t>(got) : 0));
  if (got == 0) throw std::runtime_error("the server closed the connection");
  if (got < 0 && errno != EINTR) fail("recv");
}

std::optional<std::string_view> LineSocket::line_at_hand() {
  const std::size_t end = in_.find('\n', scanned_);
  if (end == std::string::npos) {
    scanned_ = in_.size();
    return std::nullopt;
  }
  std::string_view line(in_.data() + taken_, end - taken_);
  taken_ = scanned_ = end + 1;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string_view LineSocket::line() {
  while (true) {
    if (const auto line = line_at_hand()) return *line;
    exchange();
  }
}

}  // namespace stint::bench
