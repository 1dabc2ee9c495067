#include "daemon/state_dir.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "common/slot_file.hpp"
#include "daemon/api/listener.hpp"

namespace stint {
namespace {

namespace fs = std::filesystem;

/// The store's name, an ending of its own to that, and a NUL go into SQLite's 512 bytes (MAX_PATHNAME in its os_unix.c).
constexpr std::size_t path_bytes_max = 495;

std::string why() { return std::strerror(errno); }

void make_private_directory(const fs::path& path) {
  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    throw StateDirError("cannot make the state directory " + path.string() + ": " + why());
  }
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) throw StateDirError("cannot look at " + path.string() + ": " + why());
  if (!S_ISDIR(status.st_mode)) throw StateDirError(path.string() + " is not a directory; give another with --state-dir");
  if (status.st_uid != ::geteuid()) {
    throw StateDirError(path.string() + " belongs to another user; give a directory of your own with --state-dir");
  }
  if ((status.st_mode & 077U) != 0 && ::chmod(path.c_str(), 0700) != 0) {
    throw StateDirError("cannot make " + path.string() + " private: " + why());
  }
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
    throw StateDirError(path.string() + " cannot be read and written: " + why() + ". Give uid " + std::to_string(::geteuid()) +
                        " access to it (mode 0700) and start again");
  }
}

/// Whoever has just died may have been about to start a process, which has the lock too until it is another program.
constexpr std::chrono::milliseconds dying_holder_patience{1'000};
constexpr std::chrono::milliseconds lock_step{10};

std::string read_holder(int fd) {
  std::array<char, 4096> text{};
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  std::string holder(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  if (const auto end = holder.find('\n'); end != std::string::npos) holder.resize(end);
  return holder;
}

/// False where a daemon has it; that is known as soon as its socket is served. Throws StateDirError where it cannot be locked.
bool lock(int file, const fs::path& path) {
  const auto deadline = std::chrono::steady_clock::now() + dying_holder_patience;
  while (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw StateDirError("cannot lock " + path.string() + ": " + why());
    if (api::is_served(read_holder(file)) || std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(lock_step);
  }
  return true;
}

/// True where the file has the id of this boot.
bool is_of_this_boot(int file) {
  std::array<char, 16> noted{};
  return ::pread(file, noted.data(), noted.size(), 0) == static_cast<ssize_t>(noted.size()) && noted == boot_id();
}

}  // namespace

StateDir::StateDir(fs::path path, const fs::path& socket_path) : path_(std::move(path)) {
  if (const std::size_t bytes = fs::absolute(path_).native().size(); bytes > path_bytes_max) {
    throw StateDirError("the state directory's path has " + std::to_string(bytes) + " bytes and may have " +
                        std::to_string(path_bytes_max) + ": choose a shorter one with --state-dir");
  }
  make_private_directory(path_);
  const fs::path lock_path = path_ / "lock";
  lock_.reset(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_) throw StateDirError("cannot open " + lock_path.string() + ": " + why());
  if (!lock(lock_.get(), lock_path)) {
    const std::string holder = read_holder(lock_.get());
    throw StateDirTaken("a daemon is running in " + path_.string() + " already; its socket is " +
                        (holder.empty() ? "not known yet" : holder) +
                        ". Connect to that one, or give this one its own --state-dir and --socket");
  }
  const std::string holder = socket_path.string() + "\n";
  if (::ftruncate(lock_.get(), 0) != 0 ||
      ::pwrite(lock_.get(), holder.data(), holder.size(), 0) != static_cast<ssize_t>(holder.size())) {
    throw StateDirError("cannot write " + lock_path.string() + ": " + why());
  }
  make_private_directory(workers());
  make_private_directory(output());
  const fs::path boot_path = path_ / "boot";
  boot_.reset(::open(boot_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!boot_) throw StateDirError("cannot open " + boot_path.string() + ": " + why());
  rebooted_ = !is_of_this_boot(boot_.get());
}

void StateDir::note_boot() {
  if (!rebooted_) return;
  const std::array<char, 16> now = boot_id();
  if (::pwrite(boot_.get(), now.data(), now.size(), 0) != static_cast<ssize_t>(now.size()) || ::fdatasync(boot_.get()) != 0) {
    throw StateDirError("cannot write " + (path_ / "boot").string() + ": " + why());
  }
  rebooted_ = false;
}

}  // namespace stint
