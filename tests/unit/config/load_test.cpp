// Sources and their order, and errors that name the file, line, key, what was expected and what comes nearest.

#include "config/load.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace stint::config {
namespace {

class Load : public testing::Test {
 protected:
  Load() {
    std::string name = (std::filesystem::temp_directory_path() / "stint-load-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = name;
  }
  ~Load() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path file(const std::string& name, const std::string& text) {
    auto path = directory_ / name;
    std::ofstream(path) << text;
    return path;
  }

  /// The message of the refusal, with the directory left out.
  std::string refusal(const std::string& toml) {
    const auto path = file("wrong.toml", toml);
    try {
      (void)load({}, {}, {.optional = {}, .required = {path}});
    } catch (const ConfigError& error) {
      std::string text = error.what();
      const auto at = text.find(directory_.string());
      return at == std::string::npos ? text : text.erase(at, directory_.string().size() + 1);
    }
    return "accepted";
  }

  static std::string refused_flag(const std::string& key, const std::string& value) {
    Options options;
    options.settings.push_back({"--set", key, value});
    try {
      (void)load(options, {}, {});
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  }

  static std::string origin(const Loaded& loaded, std::string_view key) {
    return loaded.origins[static_cast<std::size_t>(find_key(key) - keys().data())];
  }

  std::filesystem::path directory_;
};

TEST_F(Load, Pools) {
  const auto first = file("first.toml", "[pools.a]\ncommand = [\"w\"]\nsize = 1\n[pools.\"b c\"]\ncommand = [\"w\"]\nsize = 2\n");
  const auto second = file("second.toml",
                           "[pools.a]\ncommand = [\"x\", \"-y\"]\nsize = 3\ncwd = \"/tmp\"\nmax_jobs = 7\nidle_timeout = 0.5\n"
                           "env = { SECRET = \"hidden\" }\n");
  const Loaded loaded = load({}, {}, {.optional = {}, .required = {first, second}});
  ASSERT_EQ(loaded.config.pools.size(), 2U);
  const PoolSpec& pool = loaded.config.pools[1];
  EXPECT_EQ(loaded.config.pools[0].name, "b c");
  EXPECT_EQ(pool.name, "a") << "a later file wins";
  EXPECT_EQ(pool.command, (std::vector<std::string>{"x", "-y"}));
  EXPECT_EQ(pool.size, 3U);
  EXPECT_EQ(pool.max_jobs, 7U);
  EXPECT_EQ(pool.idle_timeout, std::chrono::milliseconds(500));
  const std::string printed = print(loaded);
  EXPECT_NE(printed.find("[pools.\"a\"]  # " + second.string() + ":1\n"), std::string::npos) << printed;
  EXPECT_NE(printed.find("size = 3\n"), std::string::npos);
  EXPECT_EQ(printed.find("hidden"), std::string::npos) << "environments are never shown";
}

TEST_F(Load, WhatIsWrongWithAPoolIsNamed) {
  const std::string head = "[pools.a]\ncommand = [\"w\"]\n";
  EXPECT_EQ(refusal("pools = 1\n"), "wrong.toml:1:1: 'pools' must hold a table a pool: [pools.NAME]");
  EXPECT_EQ(refusal("[pools]\na = 1\n"), "wrong.toml:2:1: 'pools.a' must be a table: [pools.a]");
  EXPECT_EQ(refusal(head), "wrong.toml:1:8: 'pools.a.size' is missing");
  EXPECT_EQ(refusal(head + "size = 0\n"),
            "wrong.toml:3:8: 'pools.a.size' must be an integer, 1 to 1024 (no fraction, no exponent)");
  EXPECT_EQ(refusal(head + "size = 1\nmax_job = 2\n"),
            "wrong.toml:4:11: unknown key 'pools.a.max_job' (did you mean 'max_jobs'?)");
  EXPECT_EQ(refusal(head + "size = 1\nname = \"b\"\n"),
            "wrong.toml:4:8: 'pools.a.name' must be no name inside: the table has it");
  EXPECT_EQ(refusal(head + "size = 1\ncwd = \"relative\"\n"), "wrong.toml:4:7: 'pools.a.cwd' must be an absolute path");
  EXPECT_EQ(refusal("[pools.a]\ncommand = [\"w\", 1]\nsize = 1\n"), "wrong.toml:2:11: 'pools.a.command[1]' must be a string");
}

TEST_F(Load, WithoutSourcesEverythingIsBuiltIn) {
  const Loaded loaded = load({}, {}, {});
  for (const auto& origin : loaded.origins) EXPECT_EQ(origin, "built-in");
  EXPECT_TRUE(loaded.config.socket.is_absolute());
  EXPECT_GE(loaded.config.process_slots, 1U);
  EXPECT_EQ(loaded.config.process_slots, loaded.config.thread_threads);
}

TEST_F(Load, LaterSourcesWin) {
  const auto first = file("1.toml", "[process]\nslots = 1\nrunners = 3\nhosts = 4\n[thread]\nthreads = 5\n");
  const auto second = file("2.toml", "process.slots = 2\nprocess.runners = 4\nprocess.hosts = 5\n");
  Options options;
  options.settings.push_back({"--set", "process.slots", "9"});
  const Loaded loaded = load(options, {{"STINTD_PROCESS_SLOTS", "7"}, {"STINTD_PROCESS_RUNNERS", "8"}, {"STINT_SOCKET", "x"}},
                             {.optional = {first, second}, .required = {}});
  EXPECT_EQ(loaded.config.process_slots, 9U);
  EXPECT_EQ(origin(loaded, "process.slots"), "--set");
  EXPECT_EQ(loaded.config.process_runners, 8U);
  EXPECT_EQ(origin(loaded, "process.runners"), "STINTD_PROCESS_RUNNERS");
  EXPECT_EQ(loaded.config.process_hosts, 5U);
  EXPECT_EQ(origin(loaded, "process.hosts"), second.string() + ":3");
  EXPECT_EQ(loaded.config.thread_threads, 5U);
  EXPECT_EQ(origin(loaded, "thread.threads"), first.string() + ":6");
}

TEST_F(Load, ConfigReplacesTheFileSearch) {
  Options options;
  EXPECT_EQ(config_files(options).optional.front(), "/etc/stint/personal.toml");
  options.config_file = "/x.toml";
  EXPECT_TRUE(config_files(options).optional.empty());
  EXPECT_EQ(config_files(options).required, std::vector<std::filesystem::path>{"/x.toml"});
}

TEST_F(Load, AMissingFileIsAnErrorOnlyWhereItWasNamed) {
  EXPECT_NO_THROW((void)load({}, {}, {.optional = {directory_ / "none.toml"}, .required = {}}));
  EXPECT_THROW((void)load({}, {}, {.optional = {}, .required = {directory_ / "none.toml"}}), ConfigError);
  EXPECT_THROW((void)load({}, {}, {.optional = {directory_}, .required = {}}), ConfigError);
}

TEST_F(Load, WrongFilesAreNamedWithLineKeyAndWhatIsRight) {
  EXPECT_EQ(refusal("[process]\nslots = 0\n"), "wrong.toml:2:9: 'process.slots' must be an integer from 1 to 65536, not 0");
  EXPECT_EQ(refusal("[process]\n\nslot = 1\n"), "wrong.toml:3:1: unknown key 'process.slot' (did you mean 'process.slots'?)");
  EXPECT_EQ(refusal("[proces]\nslots = 1\n"), "wrong.toml:1:2: unknown key 'proces'");
  EXPECT_EQ(refusal("process = 4\n"), "wrong.toml:1:1: 'process' must be a table: [process]");
  EXPECT_EQ(refusal("[log]\nlevel = true\n"),
            "wrong.toml:2:9: 'log.level' must be \"debug\", \"info\", \"warning\" or \"error\"");
  EXPECT_EQ(refusal("[process]\nslots = -1\n"), "wrong.toml:2:9: 'process.slots' must be an integer from 1 to 65536");
  EXPECT_EQ(refusal("[process]\nslots = [1]\n"), "wrong.toml:2:9: 'process.slots' must be an integer from 1 to 65536");
  EXPECT_EQ(refusal("[log]\nlevel = \"loud\"\n"),
            "wrong.toml:2:9: 'log.level' must be \"debug\", \"info\", \"warning\" or \"error\", not \"loud\"");
  EXPECT_EQ(refusal("socket = \"\"\n"),
            "wrong.toml:1:10: 'socket' must be a path, absolute or below the current directory, not \"\"");
  EXPECT_EQ(refusal("a = \n").substr(0, 13), "wrong.toml:1:");
  EXPECT_EQ(refusal("[process]\nslots = 1\nslots = 2\n").substr(0, 13), "wrong.toml:3:");
  EXPECT_NE(refusal(std::string(1U << 20U, '#') + "\n").find("is larger than"), std::string::npos);
  EXPECT_EQ(refusal(std::string((1U << 20U) - 1, '#') + "\n"), "accepted");
}

TEST_F(Load, WrongVariablesAndFlagsAreNamed) {
  try {
    (void)load({}, {{"STINTD_PROCESS_SLOT", "4"}}, {});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "STINTD_PROCESS_SLOT: sets no key (did you mean 'STINTD_PROCESS_SLOTS'?)");
  }
  try {
    (void)load({}, {{"STINTD_PROCESS_SLOTS", "many"}}, {});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "STINTD_PROCESS_SLOTS: 'process.slots' must be an integer from 1 to 65536, not 'many'");
  }
  EXPECT_EQ(refused_flag("slots", "4"), "--set: unknown key 'slots' (did you mean 'process.slots'?)");
  EXPECT_EQ(refused_flag("api.send_timeout", "soon"),
            "--set: 'api.send_timeout' must be seconds, a number from 0.1 to 86400, not 'soon'");
}

TEST_F(Load, WhatIsPrintedCanBeLoadedAgain) {
  Options options;
  options.settings.push_back({"--set", "scheduling.ageing", "2.5"});
  options.settings.push_back({"--socket", "socket", "relative/with \"quotes\".sock"});
  const Loaded loaded = load(options, {}, {});
  const std::string printed = print(loaded);
  EXPECT_NE(printed.find("ageing = 2.5  # --set\n"), std::string::npos);
  const Loaded again = load({}, {}, {.optional = {}, .required = {file("again.toml", printed)}});
  for (const Key& key : keys()) EXPECT_EQ(key.get(again.config), key.get(loaded.config)) << key.name;
}

TEST_F(Load, TheShippedFileHoldsEveryDefault) {
  std::ifstream shipped(STINT_SOURCE_DIR "/config/stint.toml");
  std::string line;
  std::string uncommented;
  std::size_t settings = 0;
  while (std::getline(shipped, line)) {
    const bool setting = line.starts_with('#') && !line.starts_with("# ") && line.size() > 1;
    settings += setting ? 1U : 0U;
    // What depends on the machine stands there as an example only.
    if (setting && !line.ends_with("\"…\"")) line.erase(0, 1);
    uncommented += line + "\n";
  }
  EXPECT_EQ(settings, keys().size());
  const Loaded loaded = load({}, {}, {.optional = {}, .required = {file("shipped.toml", uncommented)}});
  const Loaded plain = load({}, {}, {});
  for (const Key& key : keys()) {
    if (key.default_text.empty()) {
      EXPECT_EQ(key.get(loaded.config), key.get(plain.config)) << key.name;
    }
    EXPECT_EQ(origin(loaded, key.name) == "built-in", key.type == Type::path) << key.name;
  }
}

}  // namespace
}  // namespace stint::config
