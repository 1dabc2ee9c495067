// clone3 with a stack of its own, which glibc does not export.
//
// The child runs `body(argument)` on that stack, in the caller's memory, and exits with what it returns. The caller goes on
// at once (no vfork), so what the child reads must stay as it is until `is_in_use` says that the child has called exec or
// exited, however long that takes. The body shares the caller's errno and its sanitizer's state too: it may make no calls
// but `child_syscall`, and is marked STINT_CHILD_CODE. Falls back to glibc's clone() where the kernel has no clone3; where the
// processor is none that is known here, the caller is held (vfork).
#pragma once

#include <sys/types.h>

#include <atomic>

#if defined(__clang__)
#define STINT_CHILD_CODE __attribute__((disable_sanitizer_instrumentation, noinline))
#else
#define STINT_CHILD_CODE __attribute__((no_sanitize("address", "thread", "undefined"), noinline))
#endif

namespace stint::worker {

/// The stack of one child at a time. Any thread, but one at a time.
class ChildStack {
 public:
  /// Throws bad_alloc.
  ChildStack();
  /// Must not be in use.
  ~ChildStack();
  ChildStack(const ChildStack&) = delete;
  ChildStack& operator=(const ChildStack&) = delete;

  /// The child's pid, or -1 with errno. Must not be in use.
  [[nodiscard]] pid_t start(int (*body)(void*), void* argument);
  /// The child shares our memory still.
  [[nodiscard]] bool is_in_use() const { return child_.load(std::memory_order_acquire) != 0; }

 private:
  [[nodiscard]] char* low() const;

  void* base_;
  std::atomic<pid_t> child_{0};  // the kernel clears it when the child leaves our memory
};

/// The kernel's answer: what libc's function returns, or -errno.
long child_syscall(long number, long first = 0, long second = 0, long third = 0, long fourth = 0);

}  // namespace stint::worker
