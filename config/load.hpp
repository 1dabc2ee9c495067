// The settings of a personal daemon from all their sources, and where each value came from.
//
// Order, the later one wins: built-in, /etc/stint/personal.toml, $XDG_CONFIG_HOME/stint/stint.toml, STINTD_* in the
// environment, flags. `--config FILE` stands in for both files. Called by main before any thread exists; throws only
// ConfigError, whose text names the file, line, key, what was expected and what comes nearest.
#pragma once

#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/options.hpp"

namespace stint::config {

/// The daemon exits with exit_code::config_error and this text.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Environment = std::map<std::string, std::string>;
/// This process's environment.
[[nodiscard]] Environment process_environment();

/// The files that are looked at, in order; a missing one is not an error.
struct Files {
  std::vector<std::filesystem::path> optional;
  std::vector<std::filesystem::path> required;
};
/// `--config` alone where it is given, else the files of a personal daemon.
[[nodiscard]] Files config_files(const Options& options);

struct Loaded {
  Config config;
  std::vector<std::string> origins;                 ///< by key, in the order of keys(): "built-in", "FILE:LINE", "--set", …
  std::map<std::string, std::string> pool_origins;  ///< by name: "FILE:LINE"

  /// Where the value of the key called `name`, which there is, comes from.
  [[nodiscard]] const std::string& origin(std::string_view name) const;
};

[[nodiscard]] Loaded load(const Options& options, const Environment& environment);
[[nodiscard]] Loaded load(const Options& options, const Environment& environment, const Files& files);

/// `--print-config`: TOML, each value with its origin as a comment.
[[nodiscard]] std::string print(const Loaded& loaded);

}  // namespace stint::config
