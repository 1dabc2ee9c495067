// Makes the n-th call of a function of libc fail, in the daemon or in its workers: to be loaded with LD_PRELOAD.
//
// The file that STINT_FAIL_NTH names is mapped by every process that has this loaded, and by the test, which arms it: which
// function, in whose processes, the how manyth call from now on, and with which errno. One call fails, then none. Calls that a
// library makes by its own inner names (stdio) are not seen. clone3 has no name in libc: the workers are told that this kernel
// has none (as containers do), and fall back on clone.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

/// The order is that of CALLS in test_fail_nth.py.
enum class Call : std::int32_t {
  none,
  open,
  write,
  pwrite,
  fsync,
  ftruncate,
  fallocate,
  socket,
  accept,
  connect,
  pipe,
  epoll,
  memfd,
  mmap,
  mkdir,
  fork,
  clone,
};

constexpr std::int32_t daemon_bit = 1;
constexpr std::int32_t worker_bit = 2;

/// As the test writes it (struct "=iiiiqq").
struct Control {
  std::atomic<std::int32_t> call;
  std::atomic<std::int32_t> error;
  std::atomic<std::int32_t> whose;
  std::int32_t reserved;
  std::atomic<std::int64_t> left;  // calls up to the one that fails
  std::atomic<std::int64_t> failed;
};
static_assert(sizeof(Control) == 32);

Control* control = nullptr;
std::int32_t ours = 0;

template <class Function>
Function libc(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

bool fails(Call call) {
  if (control == nullptr || control->call.load() != static_cast<std::int32_t>(call)) return false;
  if ((control->whose.load() & ours) == 0 || control->left.fetch_sub(1) != 1) return false;
  control->failed.fetch_add(1);
  errno = control->error.load();
  return true;
}

/// From here on clone3 is ENOSYS, in this process and in all that it starts.
void hide_clone3() {
  std::array<sock_filter, 4> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{program.size(), program.data()};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

[[gnu::constructor]] void map_control() {
  const char* path = std::getenv("STINT_FAIL_NTH");
  if (path == nullptr) return;
  if (std::strcmp(program_invocation_short_name, "stintd") == 0) ours = daemon_bit;
  if (std::strcmp(program_invocation_short_name, "stint-worker") == 0) ours = worker_bit;
  if (ours == 0) return;
  const int fd = libc<int (*)(const char*, int, ...)>("open")(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  using Map = void* (*)(void*, std::size_t, int, int, int, off_t);
  void* const place = libc<Map>("mmap")(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (place != MAP_FAILED) control = static_cast<Control*>(place);
  if (ours == worker_bit) hide_clone3();
}

/// What is written into anything else (an event descriptor, a pipe) cannot fail so.
bool is_file(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/// Asio's own event and timer descriptors: it does not look whether they could be added, and is deaf where not.
bool is_inner(int fd) {
  std::array<char, 64> link{};
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
  if (::readlink(path.data(), link.data(), link.size() - 1) < 0) return false;
  return std::strstr(link.data(), "[eventfd]") != nullptr || std::strstr(link.data(), "[timerfd]") != nullptr;
}

mode_t mode_of(int flags, va_list more) { return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0; }

}  // namespace

// NOLINTBEGIN(cert-dcl50-cpp,readability-inconsistent-declaration-parameter-name): as libc has them
extern "C" {

#define STINT_OPEN(name)                                                  \
  int name(const char* path, int flags, ...) {                            \
    static const auto next = libc<int (*)(const char*, int, ...)>(#name); \
    va_list more;                                                         \
    va_start(more, flags);                                                \
    const mode_t mode = mode_of(flags, more);                             \
    va_end(more);                                                         \
    return fails(Call::open) ? -1 : next(path, flags, mode);              \
  }
#define STINT_OPENAT(name)                                                     \
  int name(int folder, const char* path, int flags, ...) {                     \
    static const auto next = libc<int (*)(int, const char*, int, ...)>(#name); \
    va_list more;                                                              \
    va_start(more, flags);                                                     \
    const mode_t mode = mode_of(flags, more);                                  \
    va_end(more);                                                              \
    return fails(Call::open) ? -1 : next(folder, path, flags, mode);           \
  }
STINT_OPEN(open)
STINT_OPEN(open64)
STINT_OPENAT(openat)
STINT_OPENAT(openat64)

ssize_t write(int fd, const void* bytes, size_t size) {
  static const auto next = libc<decltype(&write)>("write");
  return is_file(fd) && fails(Call::write) ? -1 : next(fd, bytes, size);
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
  static const auto next = libc<decltype(&pwrite)>("pwrite");
  return fails(Call::pwrite) ? -1 : next(fd, bytes, size, at);
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t at) {
  static const auto next = libc<decltype(&pwrite64)>("pwrite64");
  return fails(Call::pwrite) ? -1 : next(fd, bytes, size, at);
}
int fsync(int fd) {
  static const auto next = libc<decltype(&fsync)>("fsync");
  return fails(Call::fsync) ? -1 : next(fd);
}
int fdatasync(int fd) {
  static const auto next = libc<decltype(&fdatasync)>("fdatasync");
  return fails(Call::fsync) ? -1 : next(fd);
}
int ftruncate(int fd, off_t size) noexcept {
  static const auto next = libc<int (*)(int, off_t)>("ftruncate");
  return fails(Call::ftruncate) ? -1 : next(fd, size);
}
int ftruncate64(int fd, off64_t size) noexcept {
  static const auto next = libc<int (*)(int, off64_t)>("ftruncate64");
  return fails(Call::ftruncate) ? -1 : next(fd, size);
}
int posix_fallocate(int fd, off_t at, off_t size) {
  static const auto next = libc<decltype(&posix_fallocate)>("posix_fallocate");
  return fails(Call::fallocate) ? errno : next(fd, at, size);
}
int posix_fallocate64(int fd, off64_t at, off64_t size) {
  static const auto next = libc<decltype(&posix_fallocate64)>("posix_fallocate64");
  return fails(Call::fallocate) ? errno : next(fd, at, size);
}
int socket(int domain, int type, int protocol) noexcept {
  static const auto next = libc<int (*)(int, int, int)>("socket");
  return fails(Call::socket) ? -1 : next(domain, type, protocol);
}
int socketpair(int domain, int type, int protocol, int ends[2]) noexcept {
  static const auto next = libc<int (*)(int, int, int, int*)>("socketpair");
  return fails(Call::socket) ? -1 : next(domain, type, protocol, ends);
}
int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  static const auto next = libc<int (*)(int, sockaddr*, socklen_t*, int)>("accept4");
  return fails(Call::accept) ? -1 : next(fd, address, size, flags);
}
int accept(int fd, sockaddr* address, socklen_t* size) {
  static const auto next = libc<int (*)(int, sockaddr*, socklen_t*)>("accept");
  return fails(Call::accept) ? -1 : next(fd, address, size);
}
int connect(int fd, const sockaddr* address, socklen_t size) {
  static const auto next = libc<int (*)(int, const sockaddr*, socklen_t)>("connect");
  return fails(Call::connect) ? -1 : next(fd, address, size);
}
int pipe2(int ends[2], int flags) noexcept {
  static const auto next = libc<int (*)(int*, int)>("pipe2");
  return fails(Call::pipe) ? -1 : next(ends, flags);
}
int epoll_create1(int flags) noexcept {
  static const auto next = libc<int (*)(int)>("epoll_create1");
  return fails(Call::epoll) ? -1 : next(flags);
}
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  static const auto next = libc<int (*)(int, int, int, epoll_event*)>("epoll_ctl");
  const bool counts = operation == EPOLL_CTL_ADD && !is_inner(fd);
  return counts && fails(Call::epoll) ? -1 : next(epoll, operation, fd, event);
}
int memfd_create(const char* name, unsigned flags) noexcept {
  static const auto next = libc<int (*)(const char*, unsigned)>("memfd_create");
  return fails(Call::memfd) ? -1 : next(name, flags);
}
void* mmap(void* place, size_t size, int protection, int flags, int fd, off_t at) noexcept {
  static const auto next = libc<void* (*)(void*, size_t, int, int, int, off_t)>("mmap");
  return fails(Call::mmap) ? MAP_FAILED : next(place, size, protection, flags, fd, at);
}
void* mmap64(void* place, size_t size, int protection, int flags, int fd, off64_t at) noexcept {
  static const auto next = libc<void* (*)(void*, size_t, int, int, int, off64_t)>("mmap64");
  return fails(Call::mmap) ? MAP_FAILED : next(place, size, protection, flags, fd, at);
}
int mkdir(const char* path, mode_t mode) noexcept {
  static const auto next = libc<int (*)(const char*, mode_t)>("mkdir");
  return fails(Call::mkdir) ? -1 : next(path, mode);
}
pid_t fork() noexcept {
  static const auto next = libc<pid_t (*)()>("fork");
  return fails(Call::fork) ? -1 : next();
}
int clone(int (*body)(void*), void* stack, int flags, void* argument, ...) noexcept {
  static const auto next = libc<int (*)(int (*)(void*), void*, int, void*, ...)>("clone");
  va_list more;
  va_start(more, argument);
  auto* const parent_word = va_arg(more, pid_t*);
  auto* const storage = va_arg(more, void*);
  auto* const child_word = va_arg(more, pid_t*);
  va_end(more);
  return fails(Call::clone) ? -1 : next(body, stack, flags, argument, parent_word, storage, child_word);
}

}  // extern "C"
// NOLINTEND(cert-dcl50-cpp,readability-inconsistent-declaration-parameter-name)
