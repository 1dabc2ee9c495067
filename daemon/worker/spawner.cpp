#include "daemon/worker/spawner.hpp"

#include <sys/eventfd.h>

#include <cerrno>
#include <system_error>

namespace stint::worker {

Spawner::Spawner() : done_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!done_event_) throw std::system_error(errno, std::generic_category(), "eventfd");
  thread_ = std::thread([this] { work(); });
}

Spawner::~Spawner() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Spawner::submit(std::shared_ptr<SpawnTask> task) {
  task->submitted_at = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void Spawner::clear_done_fd() {
  eventfd_t count = 0;
  ::eventfd_read(done_event_.get(), &count);
}

std::vector<std::shared_ptr<SpawnTask>> Spawner::take_done() {
  const std::lock_guard lock(mutex_);
  return std::exchange(done_, {});
}

void Spawner::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (closing_) return;
    std::shared_ptr<SpawnTask> task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    spawn(task->plan, task->result);
    const bool failed = !task->result.failure.empty();
    const auto submitted_at = task->submitted_at;
    lock.lock();
    done_.push_back(std::move(task));
    if (failed || std::chrono::steady_clock::now() - submitted_at >= quick) ::eventfd_write(done_event_.get(), 1);
  }
}

}  // namespace stint::worker
