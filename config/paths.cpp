// Default paths from the environment and, for a user without HOME, from the user database.

#include "config/paths.hpp"

#include <pwd.h>
#include <unistd.h>

namespace stint::config {
namespace {

std::filesystem::path home(const Environment& environment) {
  if (const auto found = environment.find("HOME"); found != environment.end() && found->second.starts_with('/'))
    return found->second;
  const passwd* entry = ::getpwuid(::getuid());
  return entry != nullptr && entry->pw_dir != nullptr ? entry->pw_dir : "/";
}

std::filesystem::path xdg(const Environment& environment, const char* variable, const std::filesystem::path& below_home) {
  if (const auto found = environment.find(variable); found != environment.end() && found->second.starts_with('/'))
    return found->second;
  return home(environment) / below_home;
}

}  // namespace

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view pair(*entry);
    const auto equals = pair.find('=');
    if (equals != std::string_view::npos) environment.emplace(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return environment;
}

std::filesystem::path default_socket(const Environment& environment) {
  if (const auto found = environment.find("XDG_RUNTIME_DIR"); found != environment.end() && found->second.starts_with('/'))
    return std::filesystem::path(found->second) / "stint/stint.sock";
  return "/tmp/stint-" + std::to_string(::getuid()) + "/stint.sock";
}

std::filesystem::path default_state_dir(const Environment& environment) {
  return xdg(environment, "XDG_STATE_HOME", ".local/state") / "stint";
}

std::filesystem::path user_config_file(const Environment& environment) {
  return xdg(environment, "XDG_CONFIG_HOME", ".config") / "stint/stint.toml";
}

}  // namespace stint::config
