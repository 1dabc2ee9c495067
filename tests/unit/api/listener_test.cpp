// The listening socket's file: made safely, stale ones replaced, live and foreign ones left alone.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "daemon/api/listener.hpp"

namespace stint::api {
namespace {

class ListenerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "stint-api-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory); }

  [[nodiscard]] std::string path(const std::string& name = "sock") const { return (directory / name).string(); }
  static bool connects(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }

  std::filesystem::path directory;
};

TEST_F(ListenerTest, SocketIsForItsOwnerOnly) {
  const UniqueFd fd = listen_at(path());
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_TRUE(connects(path()));
  EXPECT_EQ(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST_F(ListenerTest, StaleSocketIsReplacedAndALiveOneIsNot) {
  { const UniqueFd gone = listen_at(path()); }
  EXPECT_FALSE(connects(path()));
  const UniqueFd fd = listen_at(path());
  EXPECT_TRUE(connects(path()));
  EXPECT_THROW((void)listen_at(path()), Error);
  EXPECT_TRUE(connects(path()));
}

TEST_F(ListenerTest, AnotherFileIsLeftAlone) {
  std::ofstream(path()) << "precious";
  EXPECT_THROW((void)listen_at(path()), Error);
  EXPECT_EQ(std::filesystem::file_size(path()), 8U);
}

TEST_F(ListenerTest, PathAtTheBoundAndOnePastIt) {
  const std::size_t room = sizeof(sockaddr_un::sun_path) - 1 - path("").size();
  EXPECT_TRUE(listen_at(path(std::string(room, 's'))));
  try {
    (void)listen_at(path(std::string(room + 1, 's')));
    FAIL() << "a path of 108 bytes does not fit";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("107"), std::string::npos);
  }
}

TEST_F(ListenerTest, PrivateDirectoryIsMadeAndChecked) {
  require_private_directory(path("own"));
  struct stat status {};
  ASSERT_EQ(::stat(path("own").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  require_private_directory(path("own"));
  ASSERT_EQ(::chmod(path("own").c_str(), 0750), 0);
  EXPECT_THROW(require_private_directory(path("own")), Error);
  std::filesystem::create_directory_symlink(directory, path("link"));
  EXPECT_THROW(require_private_directory(path("link")), Error);
}

}  // namespace
}  // namespace stint::api
