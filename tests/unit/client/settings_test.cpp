// Where a client looks for its daemon, whom it trusts, and its own configuration file.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client/client_config.hpp"
#include "client/failure.hpp"
#include "common/socket_paths.hpp"

namespace stint::cli {
namespace {

namespace fs = std::filesystem;

/// A directory of its own, and an environment that is put back.
class Settings : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "stint-client-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    for (const auto* variable : {"STINT_SOCKET", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME"}) {
      const char* value = std::getenv(variable);
      saved_.emplace_back(variable, value != nullptr ? std::optional<std::string>(value) : std::nullopt);
      ::unsetenv(variable);
    }
  }
  void TearDown() override {
    for (const auto& [name, value] : saved_) value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
    fs::remove_all(directory_);
  }
  std::string refusal(const std::string& text) {
    const fs::path file = directory_ / "client.toml";
    std::ofstream(file) << text;
    try {
      static_cast<void>(load_client_config(file));
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), exit_code::bad_config);
      return failure.what();
    }
    return "accepted";
  }

  fs::path directory_;
  std::vector<std::pair<std::string, std::optional<std::string>>> saved_;
};

TEST_F(Settings, AnExplicitSocketIsTheOnlyOne) {
  ::setenv("STINT_SOCKET", "/a/b", 1);
  const auto named = socket_candidates("/x/y");
  ASSERT_EQ(named.size(), 1U);
  EXPECT_EQ(named[0].path, "/x/y");
  const auto from_environment = socket_candidates(std::nullopt);
  ASSERT_EQ(from_environment.size(), 1U);
  EXPECT_EQ(from_environment[0].path, "/a/b");
}

TEST_F(Settings, OrderOfTheSearch) {
  ::setenv("XDG_RUNTIME_DIR", directory_.c_str(), 1);
  const auto uid = std::to_string(::getuid());
  const auto found = socket_candidates(std::nullopt);
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found[0].path, directory_ / "stint/stint.sock");
  EXPECT_EQ(found[1].path, "/run/user/" + uid + "/stint/stint.sock");
  EXPECT_EQ(found[2].path, "/tmp/stint-" + uid + "/stint.sock");
  EXPECT_EQ(found[3].path, "/run/stint/stint.sock");
  EXPECT_TRUE(found[2].directory_ours);
  EXPECT_FALSE(found[3].directory_ours);
}

TEST_F(Settings, DefaultsOfAPersonalDaemon) {
  ::setenv("HOME", "/home/someone", 1);
  EXPECT_EQ(default_socket_path(), "/tmp/stint-" + std::to_string(::getuid()) + "/stint.sock");
  EXPECT_EQ(default_state_dir(), "/home/someone/.local/state/stint");
  ::setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(default_state_dir(), "/state/stint");
  ::setenv("XDG_STATE_HOME", "relative", 1);
  EXPECT_EQ(default_state_dir(), "/home/someone/.local/state/stint");
  ::setenv("XDG_RUNTIME_DIR", directory_.c_str(), 1);
  EXPECT_EQ(default_socket_path(), directory_ / "stint/stint.sock");
  ::setenv("XDG_RUNTIME_DIR", "/nowhere/at/all", 1);
  EXPECT_EQ(default_socket_path(), "/tmp/stint-" + std::to_string(::getuid()) + "/stint.sock");
}

TEST_F(Settings, LockFileNamesTheSocket) {
  EXPECT_FALSE(locked_socket_path(directory_));
  std::ofstream(state_lock_path(directory_)) << "/some/where.sock\n";
  EXPECT_EQ(locked_socket_path(directory_), "/some/where.sock");
  std::ofstream(state_lock_path(directory_)) << "";
  EXPECT_FALSE(locked_socket_path(directory_));
}

TEST_F(Settings, DirectoriesThatAreNotOursAreNotTrusted) {
  EXPECT_EQ(directory_fault(directory_), "");
  EXPECT_NE(directory_fault(directory_ / "none"), "");
  fs::create_directory_symlink(directory_, directory_ / "link");
  EXPECT_EQ(directory_fault(directory_ / "link"), "is not a directory");
  ::chmod(directory_.c_str(), 0777);
  EXPECT_EQ(directory_fault(directory_), "may be written to by others");
  ::chmod(directory_.c_str(), 0700);
  if (::getuid() != 0) {
    EXPECT_EQ(directory_fault("/"), "belongs to uid 0");
  }
}

TEST_F(Settings, ClientConfiguration) {
  EXPECT_TRUE(load_client_config(directory_ / "none.toml").autostart);
  EXPECT_EQ(refusal("autostart = false\n"), "accepted");
  EXPECT_FALSE(load_client_config(directory_ / "client.toml").autostart);
  EXPECT_NE(refusal("\nautostrat = false\n").find("client.toml:2: unknown key 'autostrat'; did you mean 'autostart'?"),
            std::string::npos);
  EXPECT_NE(refusal("autostart = \"no\"\n").find("expected true or false"), std::string::npos);
  EXPECT_NE(refusal("autostart = \n").find("client.toml:1"), std::string::npos);
}

}  // namespace
}  // namespace stint::cli
