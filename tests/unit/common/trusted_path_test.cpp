// Whose files may be loaded: owners and modes, of the file and of all that is above it.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "common/trusted_path.hpp"

namespace stint {
namespace {

class TrustedPath : public ::testing::Test {
 protected:
  TrustedPath() {
    std::string name = (std::filesystem::temp_directory_path() / "stint-trust-XXXXXX").string();
    root = std::filesystem::canonical(::mkdtemp(name.data()));
    ::chmod(root.c_str(), 0755);
    std::filesystem::create_directory(root / "plugins");
    ::chmod((root / "plugins").c_str(), 0755);
    file = root / "plugins" / "a.so";
    std::ofstream(file) << "x";
    ::chmod(file.c_str(), 0644);
  }
  ~TrustedPath() override { std::filesystem::remove_all(root); }
  TrustedPath(const TrustedPath&) = delete;
  TrustedPath& operator=(const TrustedPath&) = delete;

  [[nodiscard]] std::string why(const std::filesystem::path& path) const {
    return why_untrusted(path, ::geteuid()).value_or("trusted");
  }

  std::filesystem::path root;
  std::filesystem::path file;
};

TEST_F(TrustedPath, OwnFilesWritableByNobodyElseAre) {
  EXPECT_EQ(why(file), "trusted");
  EXPECT_EQ(why(root / "plugins"), "trusted");
}

TEST_F(TrustedPath, GroupAndOthersMustNotWriteAnywhereOnTheWay) {
  for (const mode_t mode : {0664U, 0646U, 01666U}) {
    ::chmod(file.c_str(), mode);
    EXPECT_EQ(why(file), file.string() + " can be written by others than its owner; chmod go-w would make it right");
  }
  ::chmod(file.c_str(), 0444);
  EXPECT_EQ(why(file), "trusted");
  ::chmod((root / "plugins").c_str(), 0775);
  EXPECT_EQ(why(file), (root / "plugins").string() + " can be written by others than its owner; chmod go-w would make it right");
  ::chmod((root / "plugins").c_str(), 0755);
  ::chmod(root.c_str(), 0757);
  EXPECT_EQ(why(file), root.string() + " can be written by others than its owner; chmod go-w would make it right");
}

TEST_F(TrustedPath, AStickyDirectoryIsRightAboveAndNowhereElse) {
  ::chmod(root.c_str(), 01777);
  EXPECT_EQ(why(file), "trusted");
  EXPECT_NE(why(root), "trusted");
}

TEST_F(TrustedPath, LinksAreFollowedAndTheirTargetIsLookedAt) {
  const auto link = root / "link.so";
  std::filesystem::create_symlink(file, link);
  EXPECT_EQ(why(link), "trusted");
  ::chmod((root / "plugins").c_str(), 0777);
  EXPECT_EQ(why(link), (root / "plugins").string() + " can be written by others than its owner; chmod go-w would make it right");
}

TEST_F(TrustedPath, FilesOfOthersAreNot) {
  // For whoever runs this, and is not root, another one; root's files are everybody's to trust, so root gives one away.
  uid_t user = ::geteuid() + 1;
  uid_t owner = ::geteuid();
  if (owner == 0) {
    user = 0;
    owner = 12345;
    ASSERT_EQ(::chown(file.c_str(), owner, static_cast<gid_t>(-1)), 0);
  }
  const std::string reason = why_untrusted(file, user).value_or("trusted");
  EXPECT_EQ(reason, file.string() + " belongs to user " + std::to_string(owner) + "; only root and user " + std::to_string(user) +
                        ", who runs the daemon, are trusted");
  EXPECT_EQ(why_untrusted(file, owner).value_or("trusted"), "trusted");
}

TEST_F(TrustedPath, WhatIsNotThereIsNot) {
  EXPECT_EQ(why(root / "gone"), (root / "gone").string() + ": No such file or directory");
}

}  // namespace
}  // namespace stint
