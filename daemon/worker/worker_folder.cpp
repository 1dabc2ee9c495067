#include "daemon/worker/worker_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "common/error.hpp"
#include "common/open_file.hpp"
#include "common/slot_file.hpp"
#include "daemon/worker/run_end.hpp"

namespace stint::worker {
namespace {

[[noreturn]] void fail(const std::string& what) { throw unavailable("cannot " + what + ": " + std::strerror(errno), "workers"); }

/// Binds through /proc/self/fd because a socket's path may be no longer than 107 bytes, and a state directory's may.
UniqueFd listen_in(const std::string& folder) {
  const UniqueFd directory(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) fail("open " + folder);
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) fail("make a socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/sock", directory.get());
  ::fchmod(socket.get(), 0600);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind " + folder + "/sock");
  // A runner that is stopped accepts nobody, while one daemon after the other may come.
  if (::listen(socket.get(), SOMAXCONN) != 0) fail("listen on " + folder + "/sock");
  return socket;
}

/// Which file it is.
std::string identity_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail("look at a lock");
  return std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino) + "\n";
}

std::string read_note(int fd, const std::string& path) {
  std::array<char, 128> text{};
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  if (got < 0) fail("read " + path);
  return {text.data(), static_cast<std::size_t>(got)};
}

/// The lock was taken on another file: nothing that this one says, or does not say, is about a living worker.
bool is_copy(const std::string& folder) {
  const UniqueFd lock = open_if_there(folder + "/lock");
  if (!lock) return false;
  const std::string note = read_note(lock.get(), folder + "/lock");
  const auto line = note.find('\n');
  return line != std::string::npos && line + 1 < note.size() && note.substr(line + 1) != identity_of(lock.get());
}

}  // namespace

std::string workers_folder(const std::string& state_dir) { return state_dir + "/workers"; }

WorkerPlace make_worker_folder(const std::string& state_dir, const std::string& name) {
  WorkerPlace place;
  place.folder = workers_folder(state_dir) + '/' + name;
  if (::mkdir(workers_folder(state_dir).c_str(), 0700) != 0 && errno != EEXIST) fail("make " + workers_folder(state_dir));
  if (::mkdir(place.folder.c_str(), 0700) != 0) fail("make " + place.folder);
  place.lock.reset(::open((place.folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!place.lock || ::flock(place.lock.get(), LOCK_EX | LOCK_NB) != 0) fail("lock " + place.folder);
  place.listener = listen_in(place.folder);
  return place;
}

UniqueFd lock_dead_folder(const std::string& folder) {
  UniqueFd lock = open_if_there(folder + "/lock", O_RDWR);
  if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return UniqueFd();
  // Somebody may have removed it between open and flock and made a new one.
  struct stat ours {};
  struct stat there {};
  const bool same =
      ::fstat(lock.get(), &ours) == 0 && ::stat((folder + "/lock").c_str(), &there) == 0 && ours.st_ino == there.st_ino;
  return same ? std::move(lock) : UniqueFd();
}

bool has_lock(const std::string& folder) { return ::access((folder + "/lock").c_str(), F_OK) == 0; }

void note_pid(const WorkerPlace& place, pid_t pid) {
  const std::string text = std::to_string(pid) + "\n" + identity_of(place.lock.get());
  if (::pwrite(place.lock.get(), text.data(), text.size(), 0) < 0) fail("write " + place.folder + "/lock");
}

pid_t noted_pid(const std::string& folder) {
  const UniqueFd lock = open_if_there(folder + "/lock");
  return lock ? std::atoi(read_note(lock.get(), folder + "/lock").c_str()) : 0;
}

void note_instance(const std::string& folder, const std::string& instance) {
  const UniqueFd file(::open((folder + "/instance").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file || ::write(file.get(), instance.data(), instance.size()) < 0) fail("write " + folder + "/instance");
}

FoundRuns found_runs(const std::string& folder) {
  FoundRuns found;
  for (const SlotRecord& record : read_slots(folder + "/slots")) {
    if (record.state == SlotState::ended) found.ended.push_back(ended_of(record));
    if (record.state == SlotState::begun) found.begun.push_back(begun_of(record));
  }
  return found;
}

std::vector<TreeMarks> begun_trees(const std::string& folder) {
  std::vector<TreeMarks> runs;
  if (is_copy(folder)) return runs;
  const auto boot = boot_id();
  std::string instance;
  {
    const UniqueFd file = open_if_there(folder + "/instance");
    std::array<char, 512> text{};
    const ssize_t got = file ? ::read(file.get(), text.data(), text.size()) : 0;
    if (got > 0) instance.assign(text.data(), static_cast<std::size_t>(got));
  }
  for (const SlotRecord& record : read_slots(folder + "/slots")) {
    if (record.state != SlotState::begun || record.boot_id != boot) continue;
    TreeMarks marks;
    marks.main = record.pid;
    marks.session = record.pid;
    marks.instance = instance;
    marks.job = record.job;
    marks.attempt = record.attempt;
    marks.start_ticks = record.start_ticks;
    runs.push_back(std::move(marks));
  }
  return runs;
}

void remove_worker_folder(const std::string& folder) {
  for (const char* name : {"/sock", "/slots", "/instance", "/lock"}) ::unlink((folder + name).c_str());
  ::rmdir(folder.c_str());
}

std::vector<std::string> list_worker_folders(const std::string& state_dir) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(workers_folder(state_dir), error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw unavailable("cannot read " + workers_folder(state_dir) + ": " + error.message(), "workers");
  }
  return names;
}

}  // namespace stint::worker
