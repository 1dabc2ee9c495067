#include "client/interrupts.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "client/failure.hpp"

namespace stint::cli {
namespace {

int wake_fd = -1;  // what the handler writes to; set before it is installed

void on_signal(int number) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(number);
  // A full pipe holds enough signals.
  [[maybe_unused]] const ssize_t ignored = ::write(wake_fd, &byte, 1);
  errno = saved;
}

void install(int number, void (*handler)(int), struct sigaction& old) {
  ::sigaction(number, nullptr, &old);
  if (old.sa_handler == SIG_IGN) return;
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigaction(number, &action, nullptr);
}

}  // namespace

Interrupts::Interrupts() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    throw Failure(exit_code::not_finished, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  read_.reset(ends[0]);
  write_.reset(ends[1]);
  wake_fd = write_.get();
  install(SIGINT, on_signal, old_int_);
  install(SIGTERM, on_signal, old_term_);
  install(SIGPIPE, SIG_IGN, old_pipe_);
}

Interrupts::~Interrupts() {
  ::sigaction(SIGINT, &old_int_, nullptr);
  ::sigaction(SIGTERM, &old_term_, nullptr);
  ::sigaction(SIGPIPE, &old_pipe_, nullptr);
  wake_fd = -1;
}

std::optional<int> Interrupts::take() {
  unsigned char byte = 0;
  if (::read(read_.get(), &byte, 1) != 1) return std::nullopt;
  return int{byte};
}

bool Interrupts::is_second() {
  const auto now = Clock::now();
  const bool second = last_ && now - *last_ <= std::chrono::seconds(1);
  last_ = now;
  return second;
}

}  // namespace stint::cli
