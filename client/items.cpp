#include "client/items.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "client/failure.hpp"
#include "common/json.hpp"
#include "common/limits.hpp"

namespace stint::cli {
namespace {

constexpr std::size_t item_read_bytes = 64U << 10U;
constexpr std::size_t ready_max = 50'000;
constexpr std::size_t item_bytes_max = limits::command_bytes_max;

void require_bound(const std::string& item, std::uint64_t before) {
  if (item.size() <= item_bytes_max) return;
  throw Failure(exit_code::bad_job,
                "item " + std::to_string(before + 1) + " is longer than " + std::to_string(item_bytes_max) + " bytes");
}

}  // namespace

Items::Items(std::vector<std::string> words) {
  for (auto& word : words) add(std::move(word));
}

Items::Items(int fd, char separator) : fd_(fd), separator_(separator), ended_(false) {}

int Items::wants() const { return ended_ || ready_.size() >= ready_max ? -1 : fd_; }

void Items::read_some() {
  std::array<char, item_read_bytes> buffer{};
  const ssize_t got = ::read(fd_, buffer.data(), buffer.size());
  if (got < 0) {
    if (errno == EINTR || errno == EAGAIN) return;
    throw Failure(exit_code::not_finished, std::string("cannot read the items: ") + std::strerror(errno));
  }
  if (got == 0) {
    ended_ = true;
    if (!partial_.empty()) add(std::move(partial_));
    return;
  }
  std::string_view rest(buffer.data(), static_cast<std::size_t>(got));
  while (true) {
    const auto end = rest.find(separator_);
    partial_ += rest.substr(0, end);
    if (end == std::string_view::npos) break;
    // An empty line is no item; an empty string after -0 is one.
    if (!partial_.empty() || separator_ == '\0') add(std::move(partial_));
    partial_.clear();
    rest.remove_prefix(end + 1);
  }
  require_bound(partial_, seen_);
}

void Items::add(std::string item) {
  require_bound(item, seen_);
  ++seen_;
  if (!json::is_utf8(item)) {
    throw Failure(exit_code::bad_job, "item " + std::to_string(seen_) + " is not UTF-8, which the protocol needs");
  }
  ready_.push_back(std::move(item));
}

std::string Items::take() {
  std::string item = std::move(ready_.front());
  ready_.pop_front();
  return item;
}

void Items::stop() {
  ended_ = true;
  ready_.clear();
  partial_.clear();
}

}  // namespace stint::cli
