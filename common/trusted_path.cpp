#include "common/trusted_path.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <system_error>

namespace stint {
namespace {

std::optional<std::string> why_untrusted_here(const std::filesystem::path& path, uid_t user, bool above) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return path.string() + ": " + std::generic_category().message(errno);
  if (status.st_uid != 0 && status.st_uid != user) {
    return path.string() + " belongs to user " + std::to_string(status.st_uid) + "; only root and user " + std::to_string(user) +
           ", who runs the daemon, are trusted";
  }
  const bool sticky = above && (status.st_mode & S_ISVTX) != 0;
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky) {
    return path.string() + " can be written by others than its owner; chmod go-w would make it right";
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> why_untrusted(const std::filesystem::path& path, uid_t user) {
  std::error_code error;
  std::filesystem::path at = std::filesystem::canonical(path, error);
  if (error) return path.string() + ": " + error.message();
  for (bool above = false;; above = true) {
    if (auto why = why_untrusted_here(at, user, above)) return why;
    if (!at.has_relative_path()) return std::nullopt;
    at = at.parent_path();
  }
}

}  // namespace stint
