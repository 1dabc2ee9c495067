#include "daemon/db/disk.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "common/error.hpp"
#include "common/unique_fd.hpp"

namespace stint::db {
namespace {

constexpr std::chrono::milliseconds next_try_after{100};

struct Magic {
  std::int64_t number;
  std::string_view name;
};
// statfs(2); those that linux/magic.h lacks are in the kernel's fs/ folders.
constexpr std::array network_magics{
    Magic{0x6969, "NFS"},       Magic{0x517B, "SMB"},        Magic{0xFF534D42, "CIFS"},   Magic{0xFE534D42, "SMB2"},
    Magic{0x01021997, "9p"},    Magic{0x5346414F, "AFS"},    Magic{0x6B414653, "AFS"},    Magic{0x73757245, "Coda"},
    Magic{0x00C36400, "Ceph"},  Magic{0x0BD00BD0, "Lustre"}, Magic{0x564C, "NCP"},        Magic{0x47504653, "GPFS"},
    Magic{0x7461636F, "OCFS2"}, Magic{0x01161970, "GFS2"},   Magic{0x19830326, "BeeGFS"}, Magic{0xAAD7AAEA, "PanFS"},
};
constexpr std::int64_t fuse_magic = 0x65735546;

/// FUSE carries both kinds; these are the usual ones that reach over a network.
constexpr std::array network_fuse{"sshfs",  "glusterfs", "rclone",        "s3fs",      "gcsfuse", "ceph-fuse", "ceph",
                                  "davfs",  "curlftpfs", "juicefs",       "seaweedfs", "mfs",     "moosefs",   "lizardfs",
                                  "goofys", "geesefs",   "mountpoint-s3", "blobfuse2", "hdfs",    "smbnetfs"};

/// The type of the mount that holds `device`, from /proc/self/mountinfo (proc(5)); the newest one counts.
std::string mount_type_of(dev_t device) {
  std::ifstream mounts("/proc/self/mountinfo");
  const std::string wanted = std::to_string(major(device)) + ":" + std::to_string(minor(device));
  std::string type;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id;
    std::string parent;
    std::string numbers;
    words >> id >> parent >> numbers;
    const auto separator = line.find(" - ");
    if (numbers != wanted || separator == std::string::npos) continue;
    const auto from = separator + 3;
    type = line.substr(from, line.find(' ', from) - from);
  }
  return type;
}

std::optional<struct statvfs> room_beside(const std::string& path) {
  struct statvfs room {};
  const std::string folder = path.substr(0, path.find_last_of('/') + 1);
  if (::statvfs(folder.empty() ? "." : folder.c_str(), &room) != 0) return std::nullopt;
  return room;
}

}  // namespace

std::optional<std::string_view> network_file_system(std::int64_t magic, std::string_view mount_type) {
  for (const auto& each : network_magics) {
    if (each.number == magic) return each.name;
  }
  if (magic != fuse_magic || !mount_type.starts_with("fuse.")) return std::nullopt;
  for (const std::string_view each : network_fuse) {
    if (mount_type.substr(5) == each) return each;
  }
  return std::nullopt;
}

void refuse_network_file_system(const std::string& folder) {
  struct statfs system {};
  struct stat status {};
  if (::statfs(folder.c_str(), &system) != 0 || ::stat(folder.c_str(), &status) != 0) {
    throw unavailable("the state directory " + folder + " cannot be reached: " + std::strerror(errno), "no access");
  }
  // Some numbers do not fit into a signed 32-bit word and come back negative where f_type is one.
  const auto magic = static_cast<std::int64_t>(static_cast<std::uint32_t>(system.f_type));
  if (const auto name = network_file_system(magic, magic == fuse_magic ? mount_type_of(status.st_dev) : std::string())) {
    throw unavailable("the state directory " + folder + " lies on a network file system (" + std::string(*name) +
                          "), where neither locks nor syncs hold: choose one on a disk of this machine (--state-dir)",
                      "network file system");
  }
}

std::optional<std::uint64_t> file_system_bytes(const std::string& path) {
  const auto room = room_beside(path);
  if (!room || room->f_blocks == 0) return std::nullopt;
  return std::uint64_t{room->f_blocks} * room->f_frsize;
}

void Ballast::require_own_name() const {
  struct stat status {};
  if (path_.empty() || ::lstat(path_.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return;
  throw unavailable(path_ + " is not a regular file, and the store keeps a reserve of that name: move it away",
                    "not a regular file");
}

bool Ballast::ensure() {
  if (there_ || bytes_ == 0 || path_.empty()) return true;
  const auto now = std::chrono::steady_clock::now();
  if (next_try_ && now < *next_try_) return false;
  there_ = make();
  if (!there_) next_try_ = now + next_try_after;
  return there_;
}

bool Ballast::make() const {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
      static_cast<std::uint64_t>(status.st_blocks) * 512 >= bytes_) {
    return true;  // of an earlier daemon
  }
  const auto room = room_beside(path_);
  const bool bounded = room && room->f_blocks != 0;  // a tmpfs may have no bound, and then says that it has nothing
  if (!room || (bounded && std::uint64_t{room->f_bavail} * room->f_frsize < room_wanted())) return false;
  const UniqueFd file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file && ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes_)) == 0) return true;
  ::unlink(path_.c_str());
  return false;
}

bool Ballast::release() {
  there_ = false;
  next_try_ = std::chrono::steady_clock::now() + next_try_after;
  return !path_.empty() && ::unlink(path_.c_str()) == 0;
}

}  // namespace stint::db
