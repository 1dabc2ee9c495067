// stintd: the start of a daemon, step by step.
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "common/error.hpp"
#include "common/socket_paths.hpp"
#include "config/load.hpp"
#include "config/options.hpp"
#include "daemon/daemon.hpp"
#include "daemon/exec/plugins.hpp"
#include "daemon/host/logging.hpp"

namespace {

using namespace stint;
namespace exit_code = config::exit_code;

int say(int code, const std::string& text) {
  std::fputs(text.c_str(), code == exit_code::ok ? stdout : stderr);
  return code;
}

host::LogSettings log_settings(const config::Config& config) {
  host::LogSettings settings;
  settings.least = static_cast<host::Severity>(config.log_level);
  if (config.log_target == config::LogTarget::file) {
    settings.file =
        host::LogFile{.path = state_log_path(config.state_dir), .bytes = config.log_file_bytes, .kept = config.log_files};
  }
  return settings;
}

/// Descriptors 0, 1 and 2 must be open, or a socket would take their place.
void open_standard_descriptors() {
  int fd = ::open("/dev/null", O_RDWR);
  while (fd >= 0 && fd < STDERR_FILENO) fd = ::open("/dev/null", O_RDWR);
  if (fd > STDERR_FILENO) ::close(fd);
}

/// A directory that others could write to is as wrong as one that is not there. What is wrong with a plug-in ends no start.
void check_plugin_directory(const config::Loaded& loaded) {
  if (!loaded.config.plugins_directory) return;
  if (const auto why = exec::why_no_plugin_directory(*loaded.config.plugins_directory)) {
    throw config::ConfigError(loaded.origin("plugins.directory") + ": 'plugins.directory': " + *why);
  }
}

int serve(const config::Config& config) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // past a limit of the size of files a write fails, as on a full disk
  const std::string instance = boost::uuids::to_string(boost::uuids::random_generator()());
  StateDir state_dir(config.state_dir, config.socket);
  host::setup_logging(log_settings(config));
  spdlog::info("stintd {} pid {} instance {}, state in {}", STINT_VERSION, ::getpid(), instance, config.state_dir.string());
  return Daemon(config, state_dir, instance).run();
}

int start(int argc, char** argv) {
  const auto parsed = config::parse_options(argc, argv);
  if (const auto* exit = std::get_if<config::Exit>(&parsed)) {
    std::fputs(exit->error.c_str(), stderr);
    return say(exit->code == exit_code::ok ? exit_code::ok : exit->code, exit->output);
  }
  const auto& options = std::get<config::Options>(parsed);
  const config::Loaded loaded = config::load(options, config::process_environment());
  if (options.print_config) return say(exit_code::ok, config::print(loaded));
  check_plugin_directory(loaded);
  if (options.check_config) return say(exit_code::ok, "the configuration is right\n");
  return serve(loaded.config);
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_descriptors();
  try {
    return start(argc, argv);
  } catch (const config::ConfigError& error) {
    return say(exit_code::config_error, std::string("stintd: ") + error.what() + "\n");
  } catch (const StateDirTaken& error) {
    return say(exit_code::state_taken, std::string("stintd: ") + error.what() + "\n");
  } catch (const std::exception& error) {
    return say(exit_code::failure, std::string("stintd: ") + error.what() + "\n");
  }
}
