// The words of stintd's command line.

#include "config/options.hpp"

#include <gtest/gtest.h>

namespace stint::config {
namespace {

std::variant<Options, Exit> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "stintd");
  return parse_options(static_cast<int>(words.size()), words.data());
}

TEST(CommandLine, NamedFlagsWinOverSet) {
  const auto result = parse({"--socket", "/s", "--set", "socket=/other", "--set", "process.slots=4", "--state-dir=/d",
                             "--log-level", "debug", "--config", "/c.toml", "--check-config"});
  const auto& options = std::get<Options>(result);
  ASSERT_EQ(options.settings.size(), 5U);
  EXPECT_EQ(options.settings[0].value, "/other");
  EXPECT_EQ(options.settings[1].key, "process.slots");
  EXPECT_EQ(options.settings[2].flag, "--state-dir");
  EXPECT_EQ(options.settings[3].key, "socket");
  EXPECT_EQ(options.settings[3].value, "/s");
  EXPECT_EQ(options.settings[4].key, "log.level");
  EXPECT_EQ(options.config_file, "/c.toml");
  EXPECT_TRUE(options.check_config);
  EXPECT_FALSE(options.print_config);
}

TEST(CommandLine, ValuesMayHoldEqualsSigns) {
  const auto result = parse({"--set", "socket=/a=b"});
  EXPECT_EQ(std::get<Options>(result).settings.at(0).value, "/a=b");
}

TEST(CommandLine, HelpAndVersionGoToStandardOutput) {
  const auto version = parse({"--version"});
  EXPECT_EQ(std::get<Exit>(version).code, exit_code::ok);
  EXPECT_EQ(std::get<Exit>(version).output, "stintd " STINT_VERSION "\n");
  const auto help = parse({"--help"});
  EXPECT_EQ(std::get<Exit>(help).code, exit_code::ok);
  EXPECT_NE(std::get<Exit>(help).output.find("--print-config"), std::string::npos);
}

TEST(CommandLine, WrongUsageIs64AndSaysWhy) {
  for (const auto& words : std::vector<std::vector<const char*>>{
           {"--nonsense"}, {"word"}, {"--socket"}, {"--set", "process.slots"}, {"--set", "=4"}, {"--set"}}) {
    const auto result = parse(words);
    const auto* exit = std::get_if<Exit>(&result);
    ASSERT_NE(exit, nullptr) << words.front();
    EXPECT_EQ(exit->code, exit_code::usage);
    EXPECT_TRUE(exit->output.empty());
    EXPECT_TRUE(exit->error.starts_with("stintd: ")) << exit->error;
  }
}

}  // namespace
}  // namespace stint::config
