#include "common/open_file.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/error.hpp"

namespace stint {

UniqueFd open_if_there(const std::string& path, int flags) {
  UniqueFd file(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (file && ::fstat(file.get(), &status) == 0) return S_ISREG(status.st_mode) ? std::move(file) : UniqueFd();
  switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ENXIO: return UniqueFd();
    default: throw unavailable("cannot open " + path + ": " + std::strerror(errno), "state_dir");
  }
}

}  // namespace stint
