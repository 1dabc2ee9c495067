#include "daemon/worker/input.hpp"

#include <unistd.h>

#include <cerrno>

namespace stint::worker {
namespace {

constexpr std::size_t buffer_bytes_max = 256U << 10U;

}  // namespace

void Input::offer(std::uint64_t question, std::string bytes, bool end) {
  offered_ += bytes.size();
  pending_.push_back({question, std::move(bytes), 0});
  has_end_ = has_end_ || end;
}

Input::Answers Input::pump() {
  if (!pipe_) return close();
  Answers answers;
  while (!pending_.empty()) {
    Offer& first = pending_.front();
    const ssize_t put =
        first.bytes.empty() ? 0 : ::write(pipe_.get(), first.bytes.data() + first.written, first.bytes.size() - first.written);
    if (put < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      Answers refused = close();
      refused.accepted = std::move(answers.accepted);
      return refused;
    }
    first.written += static_cast<std::size_t>(put);
    if (accepted_ > 0) buffered_ -= static_cast<std::size_t>(put);
    if (first.written < first.bytes.size()) continue;
    if (accepted_ > 0) {
      --accepted_;
    } else if (first.question != 0) {
      answers.accepted.push_back(first.question);
    }
    pending_.pop_front();
  }
  accept_what_fits(answers);
  if (pending_.empty() && has_end_) pipe_.reset();
  return answers;
}

void Input::accept_what_fits(Answers& answers) {
  while (accepted_ < pending_.size()) {
    const Offer& next = pending_[accepted_];
    const std::size_t bytes = next.bytes.size() - next.written;
    if (buffered_ + bytes > buffer_bytes_max) return;
    buffered_ += bytes;
    ++accepted_;
    if (next.question != 0) answers.accepted.push_back(next.question);
  }
}

Input::Answers Input::close() {
  Answers answers;
  for (std::size_t i = accepted_; i < pending_.size(); ++i) {
    if (pending_[i].question != 0) answers.refused.push_back(pending_[i].question);
  }
  pending_.clear();
  accepted_ = 0;
  buffered_ = 0;
  pipe_.reset();
  return answers;
}

void Input::forget_askers() {
  // What was given with the job (question 0) is nobody's piece; of what was begun no half may be missing.
  std::size_t kept = accepted_;
  while (kept < pending_.size() && (pending_[kept].question == 0 || pending_[kept].written > 0)) ++kept;
  if (kept < pending_.size()) has_end_ = false;
  for (std::size_t i = kept; i < pending_.size(); ++i) offered_ -= pending_[i].bytes.size();
  pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(kept), pending_.end());
  for (Offer& offer : pending_) offer.question = 0;
}

}  // namespace stint::worker
