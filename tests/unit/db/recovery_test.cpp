// What the store finds at its start: files that it must refuse stay as they are, and the refusal says what to do.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/error.hpp"
#include "daemon/db/disk.hpp"
#include "daemon/db/schema.hpp"
#include "daemon/db/sqlite.hpp"
#include "tests/unit/db/disk_store.hpp"
#include "tests/unit/db/sample_facts.hpp"

namespace stint::db {
namespace {

std::string content(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) return {};
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

class RecoveryTest : public testing::Test {
 protected:
  [[nodiscard]] std::string path() { return disk_.options().path; }

  /// A closed store with finished and unfinished jobs.
  void fill(std::size_t jobs = 200) {
    disk_.open();
    const auto submit = submit_items(1, jobs, sample_spec("{}", "g"));
    disk_.persist(submit);
    for (std::size_t i = 0; i < jobs / 2; ++i) disk_.persist(core::FinishFact{end_of(submit, i, i + 1)});
    disk_.close();
  }
  /// Expects that the start is refused with these words, and that nothing is changed by it.
  void expect_refused(const std::vector<std::string>& words) {
    const std::string before = content(path());
    const std::string log_before = content(path() + "-wal");
    try {
      disk_.open();
      ADD_FAILURE() << "it was opened";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unavailable);
      for (const auto& word : words) EXPECT_NE(error.message().find(word), std::string::npos) << word << ": " << error.message();
      EXPECT_NE(error.message().find(path()), std::string::npos) << error.message();
    }
    disk_.drop();
    EXPECT_TRUE(content(path()) == before) << "the file was changed";
    EXPECT_TRUE(content(path() + "-wal") == log_before) << "the log was changed";
  }

  DiskStore disk_;
};

TEST_F(RecoveryTest, AFileThatIsNoDatabase) {
  for (const std::string& bytes : {std::string("x"), std::string("SQLite format 3"), std::string(10'000, 'g')}) {
    write(path(), bytes);
    expect_refused({"is not a database", "-wal away"});
  }
}

TEST_F(RecoveryTest, OnlyTheFirstBytesAreThere) {
  fill();
  for (const std::size_t size : {16U, 100U, 511U, 4'096U, 8'192U}) {
    write(path(), content(path()).substr(0, size));
    expect_refused({"is damaged"});
    std::filesystem::remove(path());
    std::filesystem::remove(path() + "-wal");
    fill();
  }
}

TEST_F(RecoveryTest, PagesInTheMiddleAreGarbage) {
  fill();
  std::string bytes = content(path());
  ASSERT_GT(bytes.size(), 10U * 4'096U);
  const std::string sound = bytes;
  for (std::size_t page = 1; page * 4'096 < sound.size(); ++page) {
    bytes = sound;
    bytes.replace(page * 4'096, 4'096, std::string(4'096, '\x5a'));
    write(path(), bytes);
    expect_refused({"is damaged"});
  }
  write(path(), sound);
  EXPECT_EQ(disk_.open().jobs.size(), 100U) << "and put back it is as it was";
  disk_.close();
}

TEST_F(RecoveryTest, AnotherProgramsDatabase) {
  write(path(), "");
  Connection(path(), {}).run("CREATE TABLE songs(name); INSERT INTO songs VALUES('a')");
  expect_refused({"belongs to another program"});
}

TEST_F(RecoveryTest, ANewerLayout) {
  fill();
  Connection(path(), {}).run("PRAGMA user_version=" + std::to_string(schema_version() + 1));
  expect_refused({"newer stint", "start that version again"});
}

TEST_F(RecoveryTest, ANewerLayoutThatIsOnlyInTheLog) {
  fill();
  const std::string before = content(path());
  std::string log;
  {
    Connection other(path(), {});
    other.run("PRAGMA user_version=" + std::to_string(schema_version() + 1));
    log = content(path() + "-wal");
  }
  write(path(), before);
  write(path() + "-wal", log);
  expect_refused({"newer stint"});
}

TEST_F(RecoveryTest, TheLogWithoutItsDatabase) {
  fill();
  std::filesystem::remove(path());
  write(path() + "-wal", "something");
  expect_refused({"is missing, but its log", "-wal"});
}

TEST_F(RecoveryTest, ALogThatIsNone) {
  fill();
  const std::string log = path() + "-wal";
  for (const std::string& bytes : {std::string("x"), std::string("\x37\x7f\x06\x84", 4), std::string(100'000, 'g')}) {
    write(log, bytes);
    expect_refused({"is damaged", log + " is not one", "-wal away"});
  }
  std::filesystem::remove(log);
  std::filesystem::create_directory(log);
  expect_refused({log + " is not a regular file", "-wal away"});
}

TEST_F(RecoveryTest, ALogThatIsTornOrEmptyIsNone) {
  fill();
  const std::string log = path() + "-wal";
  for (const std::string& bytes : {std::string(), std::string("\x37\x7f"), std::string(2, '\0'), std::string(100'000, '\0')}) {
    write(log, bytes);
    EXPECT_EQ(disk_.open().jobs.size(), 100U);
    disk_.close();
  }
}

TEST_F(RecoveryTest, ATableIsMissing) {
  for (const std::string table : {"state", "job", "label", "lease"}) {
    DiskStore disk;
    disk.open();
    disk.close();
    {
      Connection other(disk.options().path, {});
      other.run("DROP TABLE " + table);
      static_cast<void>(other.checkpoint(SQLITE_CHECKPOINT_TRUNCATE));
    }
    const std::string before = content(disk.options().path);
    try {
      disk.open();
      ADD_FAILURE() << "it was opened without " << table;
    } catch (const Error& error) {
      for (const std::string& word : {"is damaged: no such table: " + table, std::string("-wal away")}) {
        EXPECT_NE(error.message().find(word), std::string::npos) << word << ": " << error.message();
      }
    }
    disk.drop();
    EXPECT_TRUE(content(disk.options().path) == before) << "the file was changed";
    EXPECT_TRUE(content(disk.options().path + "-wal").empty()) << "the log was changed";
  }
}

TEST_F(RecoveryTest, AFolderInItsPlace) {
  std::filesystem::create_directory(path());
  expect_refused({"is not a regular file"});
}

TEST_F(RecoveryTest, AnEmptyFileIsANewStore) {
  write(path(), "");
  EXPECT_EQ(disk_.open().epoch, 1U);
  disk_.close();
}

TEST_F(RecoveryTest, AStoreThatIsInUse) {
  disk_.open();
  const SqliteOptions options = disk_.options();
  SqliteStore second([](std::function<void()>) {}, options);
  try {
    static_cast<void>(second.recover());
    ADD_FAILURE() << "two daemons on one store";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("in use by another program"), std::string::npos) << error.message();
  }
  const auto submit = submit_one(1, sample_spec("x"));
  disk_.persist(submit);
  disk_.settle();
  EXPECT_EQ(disk_.reopen().jobs.size(), 1U);
  disk_.close();
}

TEST_F(RecoveryTest, WhatIsOnlyInTheLogIsThereAfterAKill) {
  fill(4);
  disk_.open();
  disk_.persist(submit_one(50, sample_spec("late")));
  disk_.settle();
  disk_.drop();
  const std::string log = content(path() + "-wal");
  EXPECT_NE(log.find("late"), std::string::npos) << "nothing was copied into the database when it was dropped";
  EXPECT_EQ(disk_.open().jobs.size(), 3U);
  disk_.close();
}

TEST_F(RecoveryTest, FilesAreForTheirOwnerOnly) {
  disk_.open();
  for (const char* name : {"", "-wal"}) {
    const auto mode = std::filesystem::status(path() + name).permissions();
    EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write) << name;
  }
  disk_.close();
}

TEST(Disk, NetworkFileSystemsAreKnown) {
  EXPECT_EQ(network_file_system(0x6969, ""), "NFS");
  EXPECT_EQ(network_file_system(0xFF534D42, ""), "CIFS");
  EXPECT_EQ(network_file_system(0x01021997, ""), "9p");
  EXPECT_EQ(network_file_system(0x65735546, "fuse.sshfs"), "sshfs");
  EXPECT_FALSE(network_file_system(0x65735546, "fuse.fuse-overlayfs"));
  EXPECT_FALSE(network_file_system(0x65735546, "fuseblk"));
  EXPECT_FALSE(network_file_system(0xEF53, ""));      // ext4
  EXPECT_FALSE(network_file_system(0x01021994, ""));  // tmpfs
  TemporaryFolder folder;
  EXPECT_NO_THROW(refuse_network_file_system(folder.file("")));
  EXPECT_THROW(refuse_network_file_system(folder.file("none")), Error);
}

TEST(Disk, TheBallastIsMadeFreedAndMadeAgain) {
  TemporaryFolder folder;
  const std::string path = folder.file("ballast");
  Ballast ballast(path, 1U << 20U);
  EXPECT_TRUE(ballast.ensure());
  EXPECT_EQ(std::filesystem::file_size(path), 1U << 20U);
  EXPECT_TRUE(ballast.release());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(ballast.release());
  EXPECT_FALSE(ballast.ensure()) << "not at once";
  EXPECT_TRUE(Ballast(path, 1U << 20U).ensure());
  EXPECT_TRUE(Ballast(path, 1U << 20U).ensure()) << "one of an earlier daemon";
  EXPECT_FALSE(Ballast(folder.file("huge"), 1ULL << 60U).ensure());
  EXPECT_FALSE(std::filesystem::exists(folder.file("huge")));
  EXPECT_TRUE(Ballast("", 5).ensure()) << "none is wanted";
  EXPECT_TRUE(Ballast(path, 0).ensure());
}

TEST(Disk, TheStoreTakesLittleOfASmallFileSystem) {
  constexpr std::uint64_t mib = 1U << 20U;
  EXPECT_EQ(share_of(32 * mib, 4 * mib), 4 * mib);
  EXPECT_EQ(share_of(32 * mib - 8, 4 * mib), 4 * mib - 1);
  EXPECT_EQ(share_of(8 * mib, 4 * mib), mib);
  EXPECT_EQ(share_of(2 * mib, 4 * mib), reserve_bytes_min);
  EXPECT_EQ(share_of(2 * mib - 1, 4 * mib), reserve_bytes_min) << "the least";
  EXPECT_EQ(share_of(mib, 4'096), 4'096U) << "no more than is wanted";
  EXPECT_EQ(share_of(std::nullopt, 4 * mib), 4 * mib) << "it has no bound";
}

TEST(Disk, SomethingElseThatIsCalledBallastIsNoFullDisk) {
  DiskStore disk;
  const std::string path = disk.options().ballast_path;
  for (const bool folder : {true, false}) {
    folder ? static_cast<void>(std::filesystem::create_directory(path)) : std::filesystem::create_symlink("elsewhere", path);
    try {
      disk.open();
      ADD_FAILURE() << "it was opened";
    } catch (const Error& error) {
      EXPECT_NE(error.message().find(path + " is not a regular file"), std::string::npos) << error.message();
      EXPECT_NE(error.message().find("move it away"), std::string::npos) << error.message();
    }
    disk.drop();
    EXPECT_TRUE(std::filesystem::remove(path));
  }
}

}  // namespace
}  // namespace stint::db
