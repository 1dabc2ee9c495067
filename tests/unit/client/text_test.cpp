// Text on its way to people: nothing in it may drive a terminal or break a line; formats and units.
#include <gtest/gtest.h>

#include "client/failure.hpp"
#include "client/render.hpp"
#include "client/terminal.hpp"

namespace stint::cli {
namespace {

TEST(Text, ControlCharactersAreMadeVisible) {
  EXPECT_EQ(printable("a\tb\nc\\d"), R"(a\tb\nc\\d)");
  EXPECT_EQ(printable("\x1b[31m\x7f"), R"(\x1b[31m\x7f)");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            R"(\x9b31m)");
  EXPECT_EQ(printable("grün …"), "grün …");
  EXPECT_EQ(printable("\xFF"), "\uFFFD");
}

TEST(Text, WidthCountsCharacters) {
  EXPECT_EQ(display_width("grün"), 4U);
  EXPECT_EQ(shortened("grünes Licht", 5), "grün…");
  EXPECT_EQ(shortened("grün", 4), "grün");
  EXPECT_EQ(shortened("grün", 0), "");
}

TEST(Text, Formats) {
  const nlohmann::json record{{"id", 7}, {"outcome", "failed"}, {"exit_code", 3}, {"stdout", {{"bytes", 12}}}};
  EXPECT_EQ(formatted("{id} {code} {stdout.bytes} {none}|", record), "7 3 12 |");
  EXPECT_EQ(formatted(R"({{{id}}}\t\\\n)", record), "{7}\t\\\n");
  EXPECT_EQ(formatted("plain", record), "plain");
  EXPECT_THROW(static_cast<void>(formatted("{id", record)), UsageError);
}

TEST(Text, Durations) {
  EXPECT_EQ(duration_text(0.25), "250ms");
  EXPECT_EQ(duration_text(1.25), "1.2s");
  EXPECT_EQ(duration_text(61), "1m1s");
  EXPECT_EQ(duration_text(3'660), "1h1m");
  EXPECT_EQ(duration_text(90'000), "1d1h");
  EXPECT_EQ(bytes_text(1'023), "1023 B");
  EXPECT_EQ(bytes_text(1'536), "1.5 KiB");
}

}  // namespace
}  // namespace stint::cli
