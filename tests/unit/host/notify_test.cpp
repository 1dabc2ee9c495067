// What reaches the service manager's socket, of both kinds, and that nothing happens without one.

#include "daemon/host/notify.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/unique_fd.hpp"

namespace stint::host {
namespace {

UniqueFd listen_at(const std::string& name) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name.front() == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) throw std::runtime_error("bind");
  return socket;
}

std::string receive(const UniqueFd& socket) {
  char buffer[256];
  const ssize_t got = ::recv(socket.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  return {buffer, got < 0 ? 0U : static_cast<std::size_t>(got)};
}

class Notify : public testing::Test {
 protected:
  ~Notify() override { ::unsetenv("NOTIFY_SOCKET"); }
};

TEST_F(Notify, WithoutASocketNothingIsSent) {
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(notify("READY=1"));
  for (const char* wrong : {"", "/", "@", "relative", "/nobody/listens/here"}) {
    ::setenv("NOTIFY_SOCKET", wrong, 1);
    EXPECT_FALSE(notify("READY=1")) << wrong;
  }
  ::setenv("NOTIFY_SOCKET", ("/" + std::string(107, 'x')).c_str(), 1);
  EXPECT_FALSE(notify("READY=1"));
}

TEST_F(Notify, APathIsReached) {
  std::string directory = "/tmp/stint-notify-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/notify";
  const UniqueFd socket = listen_at(path);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  EXPECT_TRUE(notify("READY=1\nSTATUS=up"));
  EXPECT_EQ(receive(socket), "READY=1\nSTATUS=up");
  ::unlink(path.c_str());
  ::rmdir(directory.c_str());
}

TEST_F(Notify, AnAbstractNameIsReached) {
  const std::string name = "@stint-notify-test-" + std::to_string(::getpid());
  const UniqueFd socket = listen_at(name);
  ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  EXPECT_TRUE(notify("STOPPING=1"));
  EXPECT_EQ(receive(socket), "STOPPING=1");
}

TEST_F(Notify, AManagerThatDoesNotReadHoldsNobodyUp) {
  const std::string name = "@stint-notify-full-" + std::to_string(::getpid());
  const UniqueFd socket = listen_at(name);
  ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  bool sent = true;
  for (int n = 0; n < 100'000 && sent; ++n) sent = notify("WATCHDOG=1");
  EXPECT_FALSE(sent);
}

}  // namespace
}  // namespace stint::host
