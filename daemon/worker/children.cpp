#include "daemon/worker/children.hpp"

#include <sys/wait.h>

#include <cerrno>

namespace stint::worker {
namespace {

bool no_child_at_all() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

}  // namespace

std::optional<ChildExit> reap_child() {
  ChildExit exit;
  for (;;) {
    exit.pid = ::wait4(-1, &exit.status, WNOHANG, &exit.usage);
    if (exit.pid > 0) return exit;
    if (exit.pid == 0 || errno != EINTR) return std::nullopt;
  }
}

/// Children of the calling thread that are alive; those that have ended are reaped.
bool Adopter::children_alive() {
  for (;;) {
    const pid_t pid = ::wait4(-1, nullptr, WNOHANG | __WNOTHREAD, nullptr);
    if (pid == 0) return true;
    if (pid > 0) ended_.fetch_add(1, std::memory_order_release);
    if (pid < 0 && errno != EINTR) return false;
  }
}

void Adopter::serve() {
  for (;;) {
    const Word word = word_.load(std::memory_order_acquire);
    if (word == Word::stop) return;
    if (word == Word::question) {
      Word expected = Word::question;
      word_.compare_exchange_strong(expected, children_alive() ? Word::yes : Word::no, std::memory_order_acq_rel);
      word_.notify_all();
    } else {
      word_.wait(word, std::memory_order_acquire);
    }
  }
}

void Adopter::stop() {
  word_.store(Word::stop, std::memory_order_release);
  word_.notify_all();
}

bool Adopter::orphans_alive() {
  if (no_child_at_all()) return false;
  word_.store(Word::question, std::memory_order_release);
  word_.notify_all();
  word_.wait(Word::question, std::memory_order_acquire);
  return word_.load(std::memory_order_acquire) == Word::yes;
}

}  // namespace stint::worker
