// StateDir: private, ours, and held by one daemon at a time.
#include "daemon/state_dir.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <thread>

namespace stint {
namespace {

namespace fs = std::filesystem;

class StateDirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "stint-state-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
  }
  void TearDown() override { fs::remove_all(base_); }
  fs::path base_;
};

TEST_F(StateDirTest, IsMadePrivateAndNamesTheSocketInItsLock) {
  const StateDir dir(base_ / "deep" / "state", "/run/some.sock");
  struct stat status {};
  ASSERT_EQ(::stat(dir.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  std::ifstream lock(dir.path() / "lock");
  std::string line;
  std::getline(lock, line);
  EXPECT_EQ(line, "/run/some.sock");
  EXPECT_TRUE(fs::is_directory(dir.workers()));
  EXPECT_TRUE(fs::is_directory(dir.output()));
}

TEST_F(StateDirTest, ASecondDaemonIsToldTheSocketOfTheFirst) {
  const fs::path path = base_ / "state";
  {
    const StateDir first(path, "/run/first.sock");
    try {
      const StateDir second(path, "/run/second.sock");
      FAIL() << "two daemons in one directory";
    } catch (const StateDirError& error) {
      EXPECT_NE(std::string(error.what()).find("/run/first.sock"), std::string::npos) << error.what();
    }
  }
  EXPECT_NO_THROW(StateDir(path, "/run/third.sock"));
}

TEST_F(StateDirTest, ALockThatIsGivenUpInAMomentIsWaitedFor) {
  const fs::path path = base_ / "state";
  auto first = std::make_unique<StateDir>(path, "/run/first.sock");
  std::thread dying([&first] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    first.reset();
  });
  EXPECT_NO_THROW(StateDir(path, "/run/second.sock"));
  dying.join();
}

TEST_F(StateDirTest, AFileOrALinkInItsPlaceIsRefused) {
  std::ofstream(base_ / "file") << "x";
  EXPECT_THROW(StateDir(base_ / "file", "/s"), StateDirError);
  fs::create_directory(base_ / "real");
  fs::create_directory_symlink(base_ / "real", base_ / "link");
  EXPECT_THROW(StateDir(base_ / "link", "/s"), StateDirError);
}

TEST_F(StateDirTest, OutputOfAnEarlierDaemonIsKept) {
  fs::create_directories(base_ / "state" / "out");
  std::ofstream(base_ / "state" / "out" / "1.1.stdout") << "old";
  const StateDir dir(base_ / "state", "/s");
  EXPECT_TRUE(fs::exists(dir.output() / "1.1.stdout"));
}

TEST_F(StateDirTest, TellsWhetherTheMachineWasRestartedUntilThatIsNoted) {
  EXPECT_TRUE(StateDir(base_ / "state", "/s").rebooted()) << "nobody was here before";
  {
    StateDir dir(base_ / "state", "/s");
    EXPECT_TRUE(dir.rebooted()) << "the one before did not note it";
    dir.note_boot();
    EXPECT_FALSE(dir.rebooted());
  }
  EXPECT_FALSE(StateDir(base_ / "state", "/s").rebooted());
  std::ofstream(base_ / "state" / "boot") << "another boot, 16";
  EXPECT_TRUE(StateDir(base_ / "state", "/s").rebooted());
  EXPECT_TRUE(StateDir(base_ / "state", "/s").rebooted());
}

}  // namespace
}  // namespace stint
