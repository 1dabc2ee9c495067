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
constexpr std::size_t guard_bytes = 64U << 10U;  // a page of any size that Linux has here

#if defined(__x86_64__)
#define STINT_HAS_CLONE3 1
constexpr int hold_caller = 0;

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
constexpr int hold_caller = 0;

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
constexpr int hold_caller = CLONE_VFORK;
#endif

}  // namespace

STINT_CHILD_CODE long child_syscall(long number, long first, long second, long third, long fourth) {
#if defined(__x86_64__)
  long result = number;
  register long fourth_register __asm__("r10") = fourth;
  __asm__ volatile("syscall" : "+a"(result) : "D"(first), "S"(second), "d"(third), "r"(fourth_register) : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long number_register __asm__("x8") = number;
  register long result __asm__("x0") = first;
  register long second_register __asm__("x1") = second;
  register long third_register __asm__("x2") = third;
  register long fourth_register __asm__("x3") = fourth;
  __asm__ volatile("svc #0"
                   : "+r"(result)
                   : "r"(number_register), "r"(second_register), "r"(third_register), "r"(fourth_register)
                   : "memory");
  return result;
#else
  const long result = ::syscall(number, first, second, third, fourth);
  return result == -1 ? -errno : result;
#endif
}

ChildStack::ChildStack()
    : base_(::mmap(nullptr, stack_bytes + guard_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)) {
  if (base_ == MAP_FAILED) throw std::bad_alloc();
  ::mprotect(base_, guard_bytes, PROT_NONE);
}

ChildStack::~ChildStack() { ::munmap(base_, stack_bytes + guard_bytes); }

char* ChildStack::low() const { return static_cast<char*>(base_) + guard_bytes; }

pid_t ChildStack::start(int (*body)(void*), void* argument) {
  static_assert(sizeof child_ == sizeof(pid_t) && std::atomic<pid_t>::is_always_lock_free, "the kernel writes into it");
  auto* const word = reinterpret_cast<pid_t*>(&child_);
  child_.store(1, std::memory_order_release);
#if STINT_HAS_CLONE3
  clone_args args{};
  // CLEAR_SIGHAND: a handler of ours must not run in a child that shares our memory.
  args.flags = CLONE_VM | CLONE_CHILD_CLEARTID | CLONE_CLEAR_SIGHAND;
  args.child_tid = reinterpret_cast<std::uintptr_t>(word);
  args.exit_signal = SIGCHLD;
  args.stack = reinterpret_cast<std::uintptr_t>(low());
  args.stack_size = stack_bytes;
  const long result = clone3_call(&args, body, argument);
  if (result >= 0) return static_cast<pid_t>(result);
  errno = static_cast<int>(-result);
  if (errno == ENOSYS)
#endif
  {
    const int flags = CLONE_VM | CLONE_CHILD_CLEARTID | hold_caller | SIGCHLD;
    const pid_t pid = ::clone(body, low() + stack_bytes, flags, argument, nullptr, nullptr, word);
    if (pid >= 0) return pid;
  }
  child_.store(0, std::memory_order_relaxed);
  return -1;
}

}  // namespace stint::worker
