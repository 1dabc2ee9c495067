// The items of a map, from words and from a pipe however it is cut, and what a template makes of them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "client/failure.hpp"
#include "client/item_template.hpp"
#include "client/items.hpp"
#include "common/limits.hpp"
#include "common/unique_fd.hpp"

namespace stint::cli {
namespace {

using Strings = std::vector<std::string>;

/// All items of a pipe into which `pieces` are written one by one.
Strings items_of(const Strings& pieces, char separator) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  Items items(read_end.get(), separator);
  for (const auto& piece : pieces) {
    EXPECT_EQ(::write(write_end.get(), piece.data(), piece.size()), static_cast<ssize_t>(piece.size()));
    items.read_some();
  }
  write_end.reset();
  while (!items.complete()) items.read_some();
  EXPECT_EQ(items.wants(), -1);
  Strings out;
  while (items.has_next()) out.push_back(items.take());
  EXPECT_TRUE(items.exhausted());
  EXPECT_EQ(items.seen(), out.size());
  return out;
}

TEST(Items, LinesHoweverTheyArrive) {
  EXPECT_EQ(items_of({"a\nb", "b\n\n", "c"}, '\n'), (Strings{"a", "bb", "c"}));
  EXPECT_EQ(items_of({"a", "\n", "b", "\n"}, '\n'), (Strings{"a", "b"}));
  EXPECT_EQ(items_of({}, '\n'), Strings{});
}

TEST(Items, NulEndsThemAfterZero) { EXPECT_EQ(items_of({std::string("a\nb\0\0c", 6)}, '\0'), (Strings{"a\nb", "", "c"})); }

TEST(Items, BytesThatAreNotUtf8AreRefused) {
  EXPECT_THROW(items_of({"ok\n\xFF\n"}, '\n'), Failure);
  EXPECT_THROW(Items(Strings{"\xC3"}), Failure);
}

TEST(Items, BoundOnOneItem) {
  const std::string longest(limits::command_bytes_max, 'x');
  const UniqueFd file(::open(::testing::TempDir().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(file);
  const auto read_all = [&file](const std::string& text) {
    EXPECT_EQ(::ftruncate(file.get(), 0), 0);
    EXPECT_EQ(::pwrite(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    ::lseek(file.get(), 0, SEEK_SET);
    Items items(file.get(), '\n');
    while (!items.complete()) items.read_some();
    return items.seen();
  };
  EXPECT_EQ(read_all(longest + "\n"), 1U);
  EXPECT_EQ(read_all(longest), 1U);
  EXPECT_THROW(read_all(longest + "x"), Failure);
  EXPECT_THROW(read_all(longest + "x\n"), Failure);
}

TEST(ItemTemplate, ProgramsGetStrings) {
  EXPECT_EQ(item_json("5", false, std::nullopt, "{}").text, "\"5\"");
  EXPECT_EQ(item_json("a\"b\n", false, std::nullopt, "{}").text, R"("a\"b\n")");
}

TEST(ItemTemplate, TasksGetJsonOrAString) {
  EXPECT_EQ(item_json("5", true, std::nullopt, "{}").text, "5");
  EXPECT_EQ(item_json(R"({"a": 1})", true, std::nullopt, "{}").text, R"({"a":1})");
  EXPECT_EQ(item_json("/etc/passwd", true, std::nullopt, "{}").text, "\"/etc/passwd\"");
}

TEST(ItemTemplate, ArgumentsAreFilledWhereTheMarkerStands) {
  EXPECT_EQ(item_json("a\"b", true, R"({"file": "/x/{}.txt"})", "{}").text, R"({"file":"/x/a\"b.txt"})");
  EXPECT_EQ(item_json("0.5", true, R"({"seconds": {}})", "{}").text, R"({"seconds":0.5})");
  EXPECT_EQ(item_json("x", true, R"({"a": "\"@", "b": "@"})", "@").text, R"({"a":"\"x","b":"x"})");
  EXPECT_THROW(static_cast<void>(item_json("a b", true, R"({"seconds": {}})", "{}")), UsageError);
}

TEST(ItemTemplate, MarkerIsAppendedWhereNoneStands) {
  Strings bare{"gzip", "-9"};
  append_marker(bare, "{}");
  EXPECT_EQ(bare, (Strings{"gzip", "-9", "{}"}));
  Strings inside{"cp", "a{}b"};
  append_marker(inside, "{}");
  EXPECT_EQ(inside, (Strings{"cp", "a{}b"}));
}

}  // namespace
}  // namespace stint::cli
