// LineSplitter: lines come out whole however the bytes came in, and never longer than allowed.
//
// The reference is a splitter of three lines over the whole text.
#include "common/framing.hpp"

#include <cstring>
#include <vector>

#include "common/json.hpp"
#include "tests/unit/common/common_support.hpp"

namespace stint {
namespace {

using Lines = std::vector<std::string>;

void feed(LineSplitter& splitter, std::string_view bytes) {
  auto room = splitter.prepare(bytes.size());
  ASSERT_GE(room.size(), bytes.size());
  if (!bytes.empty()) std::memcpy(room.data(), bytes.data(), bytes.size());
  splitter.commit(bytes.size());
}

void take(LineSplitter& splitter, Lines& lines) {
  while (auto line = splitter.next_line()) lines.emplace_back(*line);
}

/// What a text contains, by the definition alone.
Lines reference(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

TEST(Framing, OneByteAtATime) {
  LineSplitter splitter(100);
  Lines lines;
  for (char c : std::string_view("{\"a\":1}\r\n\n\r\n{}\nlast")) {
    feed(splitter, {&c, 1});
    take(splitter, lines);
  }
  EXPECT_EQ(lines, (Lines{"{\"a\":1}", "{}"}));
  EXPECT_EQ(splitter.pending_bytes(), 4U);
  EXPECT_EQ(splitter.rest(), "last");
  EXPECT_EQ(splitter.rest(), std::nullopt);
}

TEST(Framing, SeveralLinesInOnePacket) {
  LineSplitter splitter(100);
  feed(splitter, "one\ntwo\r\n\n\nthree");
  Lines lines;
  take(splitter, lines);
  EXPECT_EQ(lines, (Lines{"one", "two"}));
  feed(splitter, "!\n");
  take(splitter, lines);
  EXPECT_EQ(lines.back(), "three!");
  EXPECT_EQ(splitter.rest(), std::nullopt);
}

TEST(Framing, OnlyOneCarriageReturnIsDropped) {
  LineSplitter splitter(100);
  feed(splitter, "a\r\r\nb\rc\n");
  Lines lines;
  take(splitter, lines);
  EXPECT_EQ(lines, (Lines{"a\r", "b\rc"}));
}

TEST(Framing, TheBoundAndOnePast) {
  LineSplitter splitter(10);
  feed(splitter, "0123456789\n");
  EXPECT_EQ(splitter.next_line(), "0123456789");
  EXPECT_FALSE(splitter.overlong());

  feed(splitter, "0123456789");
  EXPECT_EQ(splitter.next_line(), std::nullopt);
  EXPECT_FALSE(splitter.overlong()) << "the bound itself is allowed";
  feed(splitter, "x");
  EXPECT_EQ(splitter.next_line(), std::nullopt);
  EXPECT_TRUE(splitter.overlong()) << "known before the line ends";

  LineSplitter whole(10);
  feed(whole, "ok\n0123456789x\nafter\n");
  EXPECT_EQ(whole.next_line(), "ok") << "what came before is served";
  EXPECT_EQ(whole.next_line(), std::nullopt);
  EXPECT_TRUE(whole.overlong());
}

TEST(Framing, SpareBytesBehindEveryLine) {
  LineSplitter splitter(1000);
  json::Parser parser;
  for (std::size_t size = 1; size < 300; ++size) {
    feed(splitter, "\"" + std::string(size, 'x') + "\"\n");
    const auto line = splitter.next_line();
    ASSERT_TRUE(line);
    std::string_view text;
    ASSERT_EQ(parser.parse(*line).get(text), simdjson::SUCCESS);
    ASSERT_EQ(text.size(), size);
  }
}

TEST(Framing, ShrinkGivesALargeLineBackAndNothingElse) {
  LineSplitter splitter(1U << 20U);
  feed(splitter, std::string(500'000, 'x') + "\ntail");
  EXPECT_EQ(splitter.next_line()->size(), 500'000U);
  splitter.shrink();
  EXPECT_EQ(splitter.pending_bytes(), 4U) << "what is pending stays";
  feed(splitter, "\n");
  EXPECT_EQ(splitter.next_line(), "tail");
  splitter.shrink();
  EXPECT_LT(splitter.prepare(1).size(), 100'000U);
  feed(splitter, "again\n");
  EXPECT_EQ(splitter.next_line(), "again");
}

TEST(Framing, RandomChunksGiveTheLinesOfTheReference) {
  auto random = test::seeded();
  constexpr std::string_view alphabet = "ab{}\"\r\n\n";
  for (int round = 0; round < 500; ++round) {
    std::string text(test::below(random, 400), ' ');
    for (char& c : text) c = alphabet[test::below(random, alphabet.size())];
    LineSplitter splitter(1000);
    Lines lines;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = std::min(1 + test::below(random, 50), text.size() - at);
      feed(splitter, std::string_view(text).substr(at, size));
      at += size;
      if (test::below(random, 3) != 0) take(splitter, lines);
      if (test::below(random, 5) == 0) splitter.shrink();
    }
    take(splitter, lines);
    if (auto line = splitter.rest()) lines.emplace_back(*line);
    ASSERT_EQ(lines, reference(text));
  }
}

}  // namespace
}  // namespace stint
