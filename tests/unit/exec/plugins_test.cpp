// Looking at plug-ins: the version, the layout and the time that a loading may take. The rest is in tests/integration.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/plugin.hpp"
#include "common/plugin_api.hpp"
#include "daemon/exec/plugins.hpp"

namespace stint {
namespace {

class PluginsTest : public ::testing::Test {
 protected:
  PluginsTest() {
    std::string name = (std::filesystem::temp_directory_path() / "stint-plugins-XXXXXX").string();
    directory = std::filesystem::canonical(::mkdtemp(name.data()));
    std::ifstream file(STINT_TEST_PLUGIN, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  ~PluginsTest() override { std::filesystem::remove_all(directory); }
  PluginsTest(const PluginsTest&) = delete;
  PluginsTest& operator=(const PluginsTest&) = delete;

  /// Writes `to` over each `from`, of the same length.
  void replace(std::string_view from, std::string_view to) {
    ASSERT_EQ(from.size(), to.size());
    auto at = std::search(bytes.begin(), bytes.end(), from.begin(), from.end());
    ASSERT_NE(at, bytes.end());
    for (; at != bytes.end(); at = std::search(at, bytes.end(), from.begin(), from.end())) std::ranges::copy(to, at);
  }
  /// Writes the plug-in and looks at it.
  exec::PluginState look(std::chrono::milliseconds load_max = std::chrono::seconds(10)) {
    const auto path = directory / "a.so";
    std::ofstream(path, std::ios::binary) << bytes;
    ::chmod(path.c_str(), 0644);
    exec::PluginOptions options;
    options.directory = directory;
    options.worker_program = STINT_WORKER;
    options.load_max = load_max;
    const exec::Plugins plugins(options, tasks);
    EXPECT_EQ(plugins.states().size(), 1U);
    return plugins.states().front();
  }

  std::filesystem::path directory;
  std::string bytes;
  TaskRegistry tasks;
};

TEST_F(PluginsTest, OneThatIsGoodFillsTheRegistry) {
  const exec::PluginState state = look();
  EXPECT_EQ(state.refused.value_or("used"), "used");
  EXPECT_EQ(state.tasks.size(), tasks.all().size());
  const Task* task = tasks.find("plug_both");
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->executors(), (std::vector{ExecutorKind::process, ExecutorKind::thread, ExecutorKind::coroutine}));
  EXPECT_EQ(task->plugin->path, (directory / "a.so").string());
  EXPECT_EQ(tasks.find("plug_place")->executors(), std::vector{ExecutorKind::process});
  EXPECT_EQ(tasks.find("plug_wait")->executors(), std::vector{ExecutorKind::coroutine});
}

TEST_F(PluginsTest, AnotherVersionIsRefusedWithBoth) {
  const std::string ours = plugin_abi;
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"task API 1", "task API 2"}, {"g++ ", "c++ "}, {"Boost 1_", "Boost 9_"}, {"nlohmann/json 3", "nlohmann/json 4"}}) {
    if (ours.find(from) == std::string::npos) continue;  // another compiler
    const std::string before = bytes;
    std::string theirs = ours;
    theirs.replace(theirs.find(from), from.size(), to);
    replace(ours, theirs);
    const exec::PluginState state = look();
    EXPECT_EQ(state.refused.value_or("used"), "it was built for another stintd: for " + theirs + "; this one has " + ours);
    bytes = before;
  }
  EXPECT_TRUE(tasks.all().empty());
}

TEST_F(PluginsTest, AnotherLayoutIsRefused) {
  const PluginLayout ours;
  PluginLayout theirs;
  theirs.json += 8;
  const auto bytes_of = [](const PluginLayout& layout) {
    return std::string(reinterpret_cast<const char*>(&layout), sizeof layout);
  };
  replace(bytes_of(ours), bytes_of(theirs));
  const std::string why = look().refused.value_or("used");
  EXPECT_NE(why.find("it was compiled with other macros"), std::string::npos) << why;
  EXPECT_NE(why.find(", " + std::to_string(theirs.json) + ", "), std::string::npos) << why;
}

TEST_F(PluginsTest, OneWhoseLoadingDoesNotEndIsGivenUp) {
  replace("behaviour=plain", "behaviour=hang.");
  EXPECT_EQ(look(std::chrono::milliseconds(300)).refused.value_or("used"),
            "while it was loaded it did not come to an end within 300 ms");
}

TEST_F(PluginsTest, OneMoreThanTheBoundIsRefused) {
  for (std::size_t i = 0; i < limits::plugins_max - 1; ++i)
    std::filesystem::create_directory(directory / (std::to_string(i) + ".so"));
  exec::PluginOptions options;
  options.directory = directory;
  options.worker_program = STINT_WORKER;
  std::filesystem::create_directory(directory / "zy.so");
  EXPECT_EQ(exec::Plugins(options, tasks).states().back().refused.value_or("used"), "it is not a regular file");
  std::filesystem::create_directory(directory / "zz.so");
  const exec::Plugins plugins(options, tasks);
  ASSERT_EQ(plugins.states().size(), limits::plugins_max + 1);
  EXPECT_EQ(plugins.states().back().refused.value_or("used"), "the directory has more than 64 plug-ins");
}

TEST_F(PluginsTest, ADirectoryThatIsNoneThrows) {
  exec::PluginOptions options;
  options.directory = directory / "gone";
  options.worker_program = STINT_WORKER;
  EXPECT_THROW(exec::Plugins(options, tasks), Error);
}

}  // namespace
}  // namespace stint
