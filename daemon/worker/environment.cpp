#include "daemon/worker/environment.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>

namespace stint::worker {
namespace {

constexpr std::array<std::string_view, 9> reserved_names{"STINT_SOCKET",   "STINT_INSTANCE",  "STINT_JOB_ID",
                                                         "STINT_JOB_NAME", "STINT_JOB_GROUP", "STINT_ATTEMPT",
                                                         "STINT_ITEM",     "STINT_POOL",      "STINT_POOL_WORKER"};

/// LANG as the system's login programs set it (locale(5) on Debian), else UTF-8 without a language.
std::string system_language() {
  std::ifstream file("/etc/default/locale");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("LANG=")) continue;
    std::string value = line.substr(5);
    std::erase(value, '"');
    if (!value.empty()) return value;
  }
  return "C.UTF-8";
}

/// The name of the system's time zone where it is a usable one.
std::string system_zone() {
  std::ifstream file("/etc/timezone");
  std::string zone;
  std::getline(file, zone);
  const bool usable = !zone.empty() && ::access(("/usr/share/zoneinfo/" + zone).c_str(), R_OK) == 0;
  return usable ? zone : std::string();
}

const std::string* find_value(const std::vector<EnvEntry>& env, std::string_view name) {
  const auto found = std::find_if(env.begin(), env.end(), [&](const EnvEntry& entry) { return entry.name == name; });
  return found == env.end() ? nullptr : &found->value;
}

}  // namespace

UserBasics user_basics() {
  UserBasics basics;
  const uid_t uid = ::geteuid();
  basics.path = uid == 0 ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" : "/usr/local/bin:/usr/bin:/bin";
  basics.env.push_back({"PATH", basics.path});
  std::string shell = "/bin/sh";
  if (const passwd* user = ::getpwuid(uid)) {
    basics.home = user->pw_dir;
    basics.env.push_back({"USER", user->pw_name});
    basics.env.push_back({"LOGNAME", user->pw_name});
    if (user->pw_shell[0] != '\0') shell = user->pw_shell;
  }
  basics.env.push_back({"HOME", basics.home});
  basics.env.push_back({"SHELL", shell});
  basics.env.push_back({"LANG", system_language()});
  if (std::string zone = system_zone(); !zone.empty()) basics.env.push_back({"TZ", std::move(zone)});
  return basics;
}

std::vector<std::string> make_environment(const UserBasics& basics, const Hello& hello, const Begin& begin) {
  std::vector<std::string> env;
  env.reserve(basics.env.size() + begin.env.size() + reserved_names.size());
  const auto add = [&env](std::string_view name, std::string_view value) {
    std::string entry;
    entry.reserve(name.size() + 1 + value.size());
    entry.append(name).append("=").append(value);
    env.push_back(std::move(entry));
  };
  if (!begin.clean_env) {
    for (const EnvEntry& entry : basics.env) {
      if (find_value(begin.env, entry.name) == nullptr) add(entry.name, entry.value);
    }
  }
  for (const EnvEntry& entry : begin.env) {
    if (std::find(reserved_names.begin(), reserved_names.end(), entry.name) == reserved_names.end()) add(entry.name, entry.value);
  }
  add("STINT_SOCKET", hello.socket_path);
  add("STINT_INSTANCE", hello.instance);
  if (is_pool_worker(begin.run)) {
    add("STINT_POOL", begin.name.value_or(""));
    add("STINT_POOL_WORKER", std::to_string(begin.run.job));
    return env;
  }
  add("STINT_JOB_ID", std::to_string(begin.run.job));
  add("STINT_ATTEMPT", std::to_string(begin.run.attempt));
  if (begin.name) add("STINT_JOB_NAME", *begin.name);
  if (begin.group) add("STINT_JOB_GROUP", *begin.group);
  if (begin.item) add("STINT_ITEM", *begin.item);
  return env;
}

std::string search_path(const UserBasics& basics, const Begin& begin) {
  const std::string* own = find_value(begin.env, "PATH");
  return own != nullptr && !own->empty() ? *own : basics.path;
}

}  // namespace stint::worker
