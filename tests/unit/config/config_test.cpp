// The table of keys against the Config struct, its ranges at the bound and one past it, and the shipped stint.toml.

#include "config/config.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

namespace stint::config {
namespace {

TEST(Keys, EveryNameIsUniqueAndFound) {
  std::set<std::string_view> names;
  for (const Key& key : keys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    EXPECT_EQ(find_key(key.name), &key);
    EXPECT_FALSE(key.doc.empty()) << key.name;
  }
  EXPECT_EQ(find_key("process.slot"), nullptr);
}

TEST(Keys, DefaultsAreInsideTheirRanges) {
  Config config;
  config.socket = "/s";
  config.state_dir = "/d";
  for (const Key& key : keys()) EXPECT_NO_THROW(key.set(config, key.get(config))) << key.name;
}

TEST(Keys, EachKeySetsAMemberOfItsOwn) {
  for (const Key& key : keys()) {
    Config config;
    std::vector<Value> before;
    for (const Key& other : keys()) before.push_back(other.get(config));
    const std::string text = key.type == Type::path   ? "/elsewhere"
                             : key.type == Type::word ? std::string(key.words.back())
                                                      : std::to_string(static_cast<std::uint64_t>(key.max));
    key.set_text(config, text);
    for (std::size_t at = 0; at < keys().size(); ++at)
      EXPECT_EQ(keys()[at].get(config) != before[at], &keys()[at] == &key) << key.name << " and " << keys()[at].name;
  }
}

TEST(Keys, NumbersAreTakenAtTheBoundAndRefusedPastIt) {
  for (const Key& key : keys()) {
    if (key.type != Type::integer && key.type != Type::seconds) continue;
    Config config;
    const auto wrap = [&key](double number) {
      return key.type == Type::integer ? Value(static_cast<std::uint64_t>(number)) : Value(number);
    };
    EXPECT_NO_THROW(key.set(config, wrap(key.min))) << key.name;
    EXPECT_NO_THROW(key.set(config, wrap(key.max))) << key.name;
    EXPECT_THROW(key.set(config, wrap(key.max + 1)), std::invalid_argument) << key.name;
    if (key.min > 0) {
      EXPECT_THROW(key.set(config, wrap(key.min - (key.type == Type::integer ? 1 : 0.0001))), std::invalid_argument);
    }
  }
}

TEST(Keys, OtherTypesAreRefused) {
  Config config;
  const Key& slots = *find_key("process.slots");
  EXPECT_THROW(slots.set(config, Value(4.0)), std::invalid_argument);
  EXPECT_THROW(slots.set(config, Value(std::string("4"))), std::invalid_argument);
  for (const char* text : {"", " 4", "4 ", "+4", "-1", "4.0", "0x4", "4k", "99999999999999999999999"})
    EXPECT_THROW(slots.set_text(config, text), std::invalid_argument) << text;
  const Key& ageing = *find_key("scheduling.ageing");
  EXPECT_NO_THROW(ageing.set(config, Value(std::uint64_t{2})));
  EXPECT_EQ(config.scheduling_ageing, std::chrono::seconds(2));
  for (const char* text : {"", "nan", "inf", "1s", "-1"})
    EXPECT_THROW(ageing.set_text(config, text), std::invalid_argument) << text;
  EXPECT_THROW(ageing.set(config, Value(std::nan(""))), std::invalid_argument);
  EXPECT_THROW(find_key("log.level")->set_text(config, "Info"), std::invalid_argument);
  EXPECT_THROW(find_key("socket")->set_text(config, ""), std::invalid_argument);
  EXPECT_THROW(find_key("socket")->set(config, Value(std::string("a\0b", 3))), std::invalid_argument);
}

TEST(Keys, TheErrorSaysWhatWasExpected) {
  EXPECT_EQ(find_key("process.slots")->expected(), "an integer from 1 to 65536");
  EXPECT_EQ(find_key("scheduling.ageing")->expected(), "seconds, a number from 0.001 to 86400");
  EXPECT_EQ(find_key("daemon.on_stop")->expected(), "\"detach\", \"drain\" or \"cancel\"");
  EXPECT_EQ(find_key("log.level")->expected(), "\"debug\", \"info\", \"warning\" or \"error\"");
}

TEST(Keys, SuggestionsFindTypingErrorsAndForgottenTables) {
  EXPECT_EQ(suggestion("process.slot"), " (did you mean 'process.slots'?)");
  EXPECT_EQ(suggestion("threads"), " (did you mean 'thread.threads'?)");
  EXPECT_EQ(suggestion("something.else.entirely"), "");
  EXPECT_EQ(suggestion(""), "");
}

TEST(Keys, TomlTextIsEscaped) {
  EXPECT_EQ(to_toml(Value(std::string("a\"b\\c\n"))), "\"a\\\"b\\\\c\\u000a\"");
  EXPECT_EQ(to_toml(Value(0.001)), "0.001");
  EXPECT_EQ(to_toml(Value(30.0)), "30");
}

TEST(ShippedFile, IsWhatTheTableSays) {
  const char* path = STINT_SOURCE_DIR "/config/stint.toml";
  if (std::getenv("STINT_UPDATE") != nullptr) std::ofstream(path) << documented_toml();
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_EQ(text.str(), documented_toml()) << "STINT_UPDATE=1 with this test writes config/stint.toml anew from the table";
}

}  // namespace
}  // namespace stint::config
