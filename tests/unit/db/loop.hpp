// Stands for the daemon's io_context in tests of a store: what is posted runs when the test says so.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

namespace stint::db {

class Loop {
 public:
  void post(std::function<void()> function) {
    {
      const std::lock_guard lock(mutex_);
      posted_.push_back(std::move(function));
      ++posts_;
    }
    arrived_.notify_one();
  }
  /// Runs what is posted until `done` holds; false after the deadline.
  template <class Done>
  [[nodiscard]] bool run_until(Done done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done()) {
      std::unique_lock lock(mutex_);
      if (!arrived_.wait_until(lock, deadline, [this] { return !posted_.empty(); })) return false;
      auto function = std::move(posted_.front());
      posted_.pop_front();
      lock.unlock();
      function();
    }
    return true;
  }
  [[nodiscard]] std::size_t posts() {
    const std::lock_guard lock(mutex_);
    return posts_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::function<void()>> posted_;
  std::size_t posts_ = 0;
};

}  // namespace stint::db
