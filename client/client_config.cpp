#include "client/client_config.hpp"

#include <toml++/toml.h>

#include <array>
#include <string>
#include <string_view>

#include "client/failure.hpp"
#include "common/nearest.hpp"
#include "common/socket_paths.hpp"

namespace stint::cli {
namespace {

constexpr std::array<std::string_view, 1> known_keys{"autostart"};

[[noreturn]] void refuse(const std::filesystem::path& path, const toml::source_region& where, const std::string& what) {
  throw Failure(exit_code::bad_config, path.string() + ":" + std::to_string(where.begin.line) + ": " + what);
}

}  // namespace

std::filesystem::path client_config_path() { return default_config_dir() / "client.toml"; }

ClientConfig load_client_config(const std::filesystem::path& path) {
  ClientConfig config;
  std::error_code missing;
  if (!std::filesystem::exists(path, missing)) return config;
  toml::table table;
  try {
    table = toml::parse_file(path.string());
  } catch (const toml::parse_error& error) {
    refuse(path, error.source(), std::string(error.description()));
  }
  for (const auto& [key, value] : table) {
    if (key.str() != "autostart") {
      std::string what = "unknown key '" + std::string(key.str()) + "'";
      if (const auto near = nearest_name(key.str(), known_keys)) what += "; did you mean '" + *near + "'?";
      refuse(path, value.source(), what);
    }
    const auto flag = value.value_exact<bool>();
    if (!flag) refuse(path, value.source(), "autostart: expected true or false");
    config.autostart = *flag;
  }
  return config;
}

}  // namespace stint::cli
