// CLI11 reads the words; its messages and exit codes are replaced by ours.

#include "config/options.hpp"

#include <CLI/CLI.hpp>

namespace stint::config {

std::variant<Options, Exit> parse_options(int argc, const char* const* argv) {
  CLI::App app("stintd: an executor service for one machine. Without flags it is a personal daemon.", "stintd");
  app.set_version_flag("--version", "stintd " STINT_VERSION);
  app.footer("Settings, their ranges and defaults: stintd --print-config, and config/stint.toml.");

  Options options;
  std::string config_file;
  std::string state_dir;
  std::string socket;
  std::string log_level;
  std::vector<std::string> sets;
  auto* config_option =
      app.add_option("--config", config_file, "read this file instead of those of a personal daemon")->type_name("FILE");
  auto* state_option = app.add_option("--state-dir", state_dir, "keep the state there")->type_name("DIR");
  auto* socket_option = app.add_option("--socket", socket, "listen there")->type_name("PATH");
  app.add_option("--set", sets, "set a key of the configuration; may be repeated")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
  auto* level_option = app.add_option("--log-level", log_level, "debug, info, warning or error")->type_name("L");
  app.add_flag("--check-config", options.check_config, "read and check the configuration, then exit: 0, or 78 if it is wrong");
  app.add_flag("--print-config", options.print_config, "print each setting with its origin, then exit");

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Exit{.code = exit_code::ok, .output = app.help(), .error = {}};
  } catch (const CLI::CallForVersion& version) {
    return Exit{.code = exit_code::ok, .output = std::string(version.what()) + "\n", .error = {}};
  } catch (const CLI::ParseError& error) {
    return Exit{.code = exit_code::usage,
                .output = {},
                .error = "stintd: " + std::string(error.what()) + "\nstintd --help lists the options.\n"};
  }

  if (config_option->count() > 0) options.config_file = config_file;
  for (const std::string& setting : sets) {
    const auto equals = setting.find('=');
    if (equals == std::string::npos || equals == 0)
      return Exit{.code = exit_code::usage,
                  .output = {},
                  .error = "stintd: --set takes KEY=VALUE, for example --set process.slots=4, not '" + setting + "'\n"};
    options.settings.push_back({"--set", setting.substr(0, equals), setting.substr(equals + 1)});
  }
  if (state_option->count() > 0) options.settings.push_back({"--state-dir", "state_dir", state_dir});
  if (socket_option->count() > 0) options.settings.push_back({"--socket", "socket", socket});
  if (level_option->count() > 0) options.settings.push_back({"--log-level", "log.level", log_level});
  return options;
}

}  // namespace stint::config
