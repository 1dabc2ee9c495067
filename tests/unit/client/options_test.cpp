// Options and words: the traps of the parser below, units, bounds, suggestions.
#include <gtest/gtest.h>

#include "client/failure.hpp"
#include "client/options.hpp"

namespace stint::cli {
namespace {

using Strings = std::vector<std::string>;

/// One of each kind, and the words.
struct Parsed {
  explicit Parsed(Words mode) : options(mode) {
    options.flag("-q,--quiet", quiet, "");
    options.text("-n,--name", name, "", "NAME");
    options.list("--env", env, "", "NAME");
    options.number("-j,--jobs", jobs, "", 1, 100);
    options.integer("--priority", priority, "", -1000, 1000);
    options.duration("--timeout", timeout, "");
    options.size("--limit", limit, "");
    options.choice("--leftovers", leftovers, "", choices);
    options.flag("--merge", merge, "");
    options.exclusive({"--quiet", "--merge"});
  }
  Parsed& parse(const Strings& arguments) {
    words = options.parse(arguments);
    return *this;
  }

  static constexpr std::array<std::string_view, 2> choices{"kill", "keep"};
  Options options;
  bool quiet = false;
  bool merge = false;
  std::optional<std::string> name;
  Strings env;
  std::optional<std::uint64_t> jobs;
  std::optional<std::int64_t> priority;
  std::optional<Duration> timeout;
  std::optional<std::uint64_t> limit;
  std::optional<std::string> leftovers;
  Strings words;
};

std::string refusal(const Strings& arguments) {
  try {
    Parsed parsed(Words::mixed);
    parsed.parse(arguments);
  } catch (const UsageError& error) {
    EXPECT_EQ(error.code(), exit_code::usage);
    return error.what();
  }
  return "accepted";
}

TEST(Options, WordsOfACommandAreItsOwn) {
  Parsed parsed(Words::last);
  parsed.parse({"-q", "--name", "a", "make", "--jobs", "3", "--", "-q"});
  EXPECT_TRUE(parsed.quiet);
  EXPECT_EQ(parsed.name, "a");
  EXPECT_FALSE(parsed.jobs);
  EXPECT_EQ(parsed.words, (Strings{"make", "--jobs", "3", "--", "-q"}));
}

TEST(Options, EverythingAfterTwoDashesIsAWord) {
  Parsed parsed(Words::mixed);
  parsed.parse({"1", "-q", "--", "--name", "--"});
  EXPECT_TRUE(parsed.quiet);
  EXPECT_FALSE(parsed.name);
  EXPECT_EQ(parsed.words, (Strings{"1", "--name", "--"}));
}

TEST(Options, NoWordIsRewritten) {
  const Strings odd{"echo", "[a,b]", "{}", "", "%%", "[]"};
  Parsed parsed(Words::last);
  parsed.parse(odd);
  EXPECT_EQ(parsed.words, odd);
}

TEST(Options, ValuesInEveryForm) {
  Parsed parsed(Words::mixed);
  parsed.parse({"--env", "A=[1,2]", "--env=B={}", "--name=", "word", "-j7", "--priority", "-5", "--env", "--quiet"});
  EXPECT_EQ(parsed.env, (Strings{"A=[1,2]", "B={}", "--quiet"}));
  EXPECT_EQ(parsed.name, "");
  EXPECT_EQ(parsed.jobs, 7);
  EXPECT_EQ(parsed.priority, -5);
  EXPECT_FALSE(parsed.quiet);
  EXPECT_EQ(parsed.words, Strings{"word"});
}

TEST(Options, ShortOnesMayStandTogether) {
  Parsed parsed(Words::mixed);
  parsed.parse({"-qn", "x", "-j", "2"});
  EXPECT_TRUE(parsed.quiet);
  EXPECT_EQ(parsed.name, "x");
  EXPECT_EQ(parsed.jobs, 2);
}

TEST(Options, Bounds) {
  EXPECT_EQ(refusal({"-j", "1"}), "accepted");
  EXPECT_EQ(refusal({"-j", "100"}), "accepted");
  EXPECT_NE(refusal({"-j", "0"}).find("from 1 to 100"), std::string::npos);
  EXPECT_NE(refusal({"-j", "101"}).find("from 1 to 100"), std::string::npos);
  EXPECT_NE(refusal({"-j", "2x"}).find("whole number"), std::string::npos);
  EXPECT_NE(refusal({"--priority", "-1001"}).find("-1000"), std::string::npos);
}

TEST(Options, MistakesAreNamedWithTheNearest) {
  EXPECT_NE(refusal({"--quite"}).find("did you mean '--quiet'"), std::string::npos);
  EXPECT_NE(refusal({"--leftovers", "kep"}).find("did you mean 'keep'"), std::string::npos);
  EXPECT_NE(refusal({"-x"}).find("unknown option '-x'"), std::string::npos);
  EXPECT_NE(refusal({"--name"}).find("needs a value"), std::string::npos);
  EXPECT_NE(refusal({"--quiet=yes"}).find("takes no value"), std::string::npos);
  EXPECT_NE(refusal({"--quiet", "--merge"}), "accepted");
}

TEST(Options, HelpIsWantedBeforeTheWordsOnly) {
  Parsed parsed(Words::last);
  parsed.parse({"--help"});
  EXPECT_TRUE(parsed.options.help_wanted());
  Parsed other(Words::last);
  other.parse({"ls", "--help"});
  EXPECT_FALSE(other.options.help_wanted());
}

TEST(Options, Durations) {
  EXPECT_EQ(parse_duration("90"), std::chrono::seconds(90));
  EXPECT_EQ(parse_duration("1.5s"), std::chrono::milliseconds(1500));
  EXPECT_EQ(parse_duration("250ms"), std::chrono::milliseconds(250));
  EXPECT_EQ(parse_duration("5m"), std::chrono::minutes(5));
  EXPECT_EQ(parse_duration("2h"), std::chrono::hours(2));
  EXPECT_EQ(parse_duration("1d"), std::chrono::hours(24));
  for (const auto* wrong : {"", "s", "-1", "1x", "1 s", "nan", "inf", "1e3", "0x10", "99999999999"})
    EXPECT_FALSE(parse_duration(wrong)) << wrong;
}

TEST(Options, Sizes) {
  EXPECT_EQ(parse_size("65536"), 65536U);
  EXPECT_EQ(parse_size("64K"), 65536U);
  EXPECT_EQ(parse_size("1.5M"), 1'572'864U);
  EXPECT_EQ(parse_size("1G"), 1U << 30U);
  for (const auto* wrong : {"", "-1", "1Q", "1e30", "99999999T"}) EXPECT_FALSE(parse_size(wrong)) << wrong;
}

}  // namespace
}  // namespace stint::cli
