// The command line of stintd.
//
// Only words become values here; what they mean is checked by config/load. Called once by main; throws nothing: wrong
// usage comes back as an Exit with the text to print and the code to exit with.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace stint::config {

/// Exit codes of stintd (sysexits.h).
namespace exit_code {
inline constexpr int ok = 0;
inline constexpr int failure = 1;
inline constexpr int usage = 64;
inline constexpr int state_taken = 75;  ///< another daemon has the state directory
inline constexpr int config_error = 78;
}  // namespace exit_code

/// One setting made by a flag.
struct FlagSetting {
  std::string flag;  ///< as it was given, for messages: "--state-dir", "--set"
  std::string key;
  std::string value;
};

struct Options {
  std::optional<std::filesystem::path> config_file;
  std::vector<FlagSetting> settings;  ///< in the order in which they win: --set, then the named flags
  bool check_config = false;
  bool print_config = false;
};

/// Nothing is to be run: print and exit (help, version, wrong usage).
struct Exit {
  int code = exit_code::ok;
  std::string output;  ///< for standard output
  std::string error;   ///< for standard error
};

[[nodiscard]] std::variant<Options, Exit> parse_options(int argc, const char* const* argv);

}  // namespace stint::config
