#include "common/socket_paths.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace stint {
namespace {

namespace fs = std::filesystem;

/// A variable that holds an absolute path; the XDG specification has relative ones ignored.
std::optional<fs::path> path_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value != '/') return std::nullopt;
  return fs::path(value);
}

fs::path home() {
  if (auto named = path_variable("HOME")) return *named;
  const passwd* entry = ::getpwuid(::getuid());
  return entry != nullptr && entry->pw_dir != nullptr ? entry->pw_dir : "/";
}

fs::path socket_in(const fs::path& runtime_dir) { return runtime_dir / "stint" / "stint.sock"; }

fs::path temporary_socket() { return fs::path("/tmp/stint-" + std::to_string(::getuid())) / "stint.sock"; }

bool is_own_directory(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::getuid();
}

}  // namespace

fs::path default_socket_path() {
  // After su the variable may still name another user's directory.
  if (const auto runtime = path_variable("XDG_RUNTIME_DIR"); runtime && is_own_directory(*runtime)) return socket_in(*runtime);
  return temporary_socket();
}

fs::path default_state_dir() {
  if (const auto state = path_variable("XDG_STATE_HOME")) return *state / "stint";
  return home() / ".local" / "state" / "stint";
}

fs::path default_config_dir() {
  if (const auto config = path_variable("XDG_CONFIG_HOME")) return *config / "stint";
  return home() / ".config" / "stint";
}

fs::path state_lock_path(const fs::path& state_dir) { return state_dir / "lock"; }
fs::path state_log_path(const fs::path& state_dir) { return state_dir / "stintd.log"; }

std::optional<fs::path> locked_socket_path(const fs::path& state_dir) {
  std::ifstream file(state_lock_path(state_dir));
  std::string line;
  if (!std::getline(file, line) || !line.starts_with('/')) return std::nullopt;
  return fs::path(line);
}

std::vector<SocketCandidate> socket_candidates(const std::optional<std::string>& explicit_path) {
  if (explicit_path) return {{*explicit_path, "--socket"}};
  if (const char* named = std::getenv("STINT_SOCKET"); named != nullptr && *named != '\0') return {{named, "STINT_SOCKET"}};
  std::vector<SocketCandidate> found;
  const auto add = [&found](fs::path path, const char* origin, bool directory_ours) {
    for (const auto& known : found) {
      if (known.path == path) return;
    }
    found.push_back({std::move(path), origin, directory_ours});
  };
  if (const auto runtime = path_variable("XDG_RUNTIME_DIR")) add(socket_in(*runtime), "personal", true);
  add(socket_in("/run/user/" + std::to_string(::getuid())), "personal", true);
  add(temporary_socket(), "personal", true);
  add("/run/stint/stint.sock", "service", false);
  return found;
}

std::string directory_fault(const fs::path& directory) {
  struct stat status {};
  if (::lstat(directory.c_str(), &status) != 0) return std::strerror(errno);
  if (!S_ISDIR(status.st_mode)) return "is not a directory";
  if (status.st_uid != ::getuid()) return "belongs to uid " + std::to_string(status.st_uid);
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "may be written to by others";
  return {};
}

}  // namespace stint
