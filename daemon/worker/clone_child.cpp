#include "daemon/worker/clone_child.hpp"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <new>

namespace stint::worker {
namespace {

/// The child makes system calls only, but sanitizers make frames large.
constexpr std::size_t stack_bytes = 256U << 10U;

/// One stack a thread: while it is in use its thread waits. Below it lies a page that nobody may touch.
class Stack {
 public:
  Stack()
      : base_(
            ::mmap(nullptr, stack_bytes + guard_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)) {
    if (base_ == MAP_FAILED) throw std::bad_alloc();
    ::mprotect(base_, guard_bytes, PROT_NONE);
  }
  ~Stack() { ::munmap(base_, stack_bytes + guard_bytes); }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  [[nodiscard]] char* low() const { return static_cast<char*>(base_) + guard_bytes; }
  [[nodiscard]] char* high() const { return low() + stack_bytes; }

 private:
  static constexpr std::size_t guard_bytes = 64U << 10U;  // a page of any size that Linux has here
  void* base_;
};

#if defined(__x86_64__)
#define STINT_HAS_CLONE3 1
// In the child all registers but rax, rcx and r11 are the caller's and the stack pointer is the new one.
long clone3_call(const clone_args* args, int (*body)(void*), void* argument) {
  long result = 0;
  register int (*body_register)(void*) __asm__("r8") = body;
  register void* argument_register __asm__("r9") = argument;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %[argument], %%rdi\n\t"
      "call *%[body]\n\t"
      "mov %%eax, %%edi\n\t"
      "mov %[exit_number], %%eax\n\t"
      "syscall\n\t"
      "hlt\n"
      "1:\n\t"
      : "=a"(result)
      : "a"(static_cast<long>(SYS_clone3)), "D"(args),
        "S"(sizeof *args), [body] "r"(body_register), [argument] "r"(argument_register), [exit_number] "i"(SYS_exit)
      : "rcx", "r11", "memory", "cc");
  return result;
}
#elif defined(__aarch64__)
#define STINT_HAS_CLONE3 1
long clone3_call(const clone_args* args, int (*body)(void*), void* argument) {
  register long number __asm__("x8") = SYS_clone3;
  register long first __asm__("x0") = reinterpret_cast<long>(args);
  register long second __asm__("x1") = sizeof *args;
  register int (*body_register)(void*) __asm__("x10") = body;
  register void* argument_register __asm__("x11") = argument;
  __asm__ volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, #0\n\t"
      "mov x30, #0\n\t"
      "mov x0, %[argument]\n\t"
      "blr %[body]\n\t"
      "mov x8, %[exit_number]\n\t"
      "svc #0\n"
      "1:\n\t"
      : "+r"(first)
      : "r"(number), "r"(second), [body] "r"(body_register), [argument] "r"(argument_register), [exit_number] "i"(SYS_exit)
      : "memory", "cc");
  return first;
}
#else
#define STINT_HAS_CLONE3 0
#endif

pid_t clone_fallback(const Stack& stack, int (*body)(void*), void* argument) {
  return ::clone(body, stack.high(), CLONE_VM | CLONE_VFORK | SIGCHLD, argument);
}

}  // namespace

pid_t clone_child(int (*body)(void*), void* argument) {
  static thread_local const Stack stack;
#if STINT_HAS_CLONE3
  clone_args args{};
  // CLEAR_SIGHAND: a handler of ours must not run in a child that shares our memory.
  args.flags = CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | CLONE_CLEAR_SIGHAND;
  args.exit_signal = SIGCHLD;
  args.stack = reinterpret_cast<std::uintptr_t>(stack.low());
  args.stack_size = stack_bytes;
  const long result = clone3_call(&args, body, argument);
  if (result >= 0) return static_cast<pid_t>(result);
  if (result != -ENOSYS) {
    errno = static_cast<int>(-result);
    return -1;
  }
#endif
  return clone_fallback(stack, body, argument);
}

}  // namespace stint::worker
