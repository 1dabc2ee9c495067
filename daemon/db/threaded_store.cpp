#include "daemon/db/threaded_store.hpp"

#include <stdexcept>
#include <utility>

namespace stint::db {
namespace {

/// So many facts that nobody waits for are worked off together.
constexpr std::size_t lazy_operations_max = 4'096;

}  // namespace

ThreadedStore::ThreadedStore(Post post, std::unique_ptr<Keeper> keeper) : post_(std::move(post)), keeper_(std::move(keeper)) {}

ThreadedStore::~ThreadedStore() {
  link_->alive = false;
  thread_.request_stop();
}

void ThreadedStore::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

// ---- the I/O thread's side

void ThreadedStore::on_commit(CommitCallback callback) { link_->on_commit = std::move(callback); }

void ThreadedStore::on_failure(std::function<void(const std::string&)> callback) { link_->on_failure = std::move(callback); }

void ThreadedStore::hand_over(Operation operation, Haste haste) {
  // As if the daemon had died just now: nothing was promised, for nothing is told that is not durable.
  if (closed_) return;
  bool notify = false;
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(operation));
    urgent_ = urgent_ || haste == Haste::now || queue_.size() >= lazy_operations_max;
    if (urgent_) {
      notify = std::exchange(idle_, false);
    } else if (haste == Haste::soon && !due_) {
      due_ = std::chrono::steady_clock::now() + patience;
      notify = idle_;
    }
  }
  if (notify) wake_.notify_one();
}

void ThreadedStore::persist(core::Persist facts) {
  const Haste haste = facts.number == 0 ? Haste::none : facts.patient ? Haste::soon : Haste::now;
  hand_over(std::move(facts), haste);
}

template <class Look, class Done>
void ThreadedStore::ask(Look look, Done done) {
  hand_over(Question([look = std::move(look), done = std::move(done)](const Catalogue& catalogue) -> std::function<void()> {
              return [done, answer = look(catalogue)]() mutable { done(std::move(answer)); };
            }),
            Haste::now);
}

void ThreadedStore::get(std::vector<JobId> ids, std::function<void(std::vector<Found>)> done) {
  ask(
      [ids = std::move(ids)](const Catalogue& catalogue) {
        std::vector<Found> found;
        found.reserve(ids.size());
        for (const JobId id : ids) found.push_back(catalogue.get(id));
        return found;
      },
      std::move(done));
}

void ThreadedStore::load(std::vector<JobId> ids, std::function<void(std::vector<core::LoadedSpec>)> done) {
  ask(
      [ids = std::move(ids)](const Catalogue& catalogue) {
        std::vector<core::LoadedSpec> specs;
        specs.reserve(ids.size());
        for (const JobId id : ids) specs.push_back(catalogue.load(id));
        return specs;
      },
      std::move(done));
}

void ThreadedStore::attempt(JobId id, Attempt attempt, std::function<void(core::EndedPtr)> done) {
  ask([id, attempt](const Catalogue& catalogue) { return catalogue.attempt(id, attempt); }, std::move(done));
}

void ThreadedStore::results(ResultsQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) {
  ask([query = std::move(query)](const Catalogue& catalogue) { return catalogue.results(query); }, std::move(done));
}

void ThreadedStore::list(ListQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) {
  ask([query](const Catalogue& catalogue) { return catalogue.list(query); }, std::move(done));
}

void ThreadedStore::ended_before(Time time, std::size_t limit, std::function<void(std::vector<JobId>)> done) {
  ask([time, limit](const Catalogue& catalogue) { return catalogue.ended_before(time, limit); }, std::move(done));
}

void ThreadedStore::overdue(Retention retention, Time now, PassedOver passed, std::size_t limit,
                            std::function<void(const Overdue&)> done) {
  ask([=](const Catalogue& catalogue) { return catalogue.overdue(retention, now, passed, limit); }, std::move(done));
}

void ThreadedStore::knows_group(std::string group, std::function<void(bool)> done) {
  ask([group = std::move(group)](const Catalogue& catalogue) { return catalogue.knows_group(group); }, std::move(done));
}

void ThreadedStore::close(std::function<void()> done) {
  if (std::exchange(closed_, true)) throw std::logic_error("the store is closed twice");
  if (!thread_.joinable()) start();  // never recovered: there is nothing to commit, but `done` is still called later
  {
    const std::lock_guard lock(mutex_);
    closed_done_ = std::move(done);
    urgent_ = true;
  }
  wake_.notify_one();
}

// ---- the store's thread

void ThreadedStore::run(const std::stop_token& stop) {
  std::vector<Operation> operations;  // what could not be recorded yet stays in it
  std::function<void()> closed;
  while (!closed) {
    if (!take(stop, operations, closed)) return;
    BatchOutcome outcome;
    keeper_->work(operations, outcome);
    if (closed) keeper_->close();
    tell(std::move(outcome), closed);
    if (closed) return;
    BatchOutcome tidied;
    keeper_->tidy(next_waits(), tidied);
    tell(std::move(tidied), {});
  }
}

bool ThreadedStore::take(const std::stop_token& stop, std::vector<Operation>& operations, std::function<void()>& closed) {
  std::unique_lock lock(mutex_);
  idle_ = true;
  if (operations.empty()) {
    wake_.wait(lock, stop, [this] { return urgent_ || due_; });
    if (due_) wake_.wait_until(lock, stop, *due_, [this] { return urgent_; });
  } else {
    wake_.wait_for(lock, stop, keeper_->retry_pause(), [this] { return urgent_; });
  }
  idle_ = false;
  if (const auto pause = keeper_->slowness(); pause.count() > 0) wake_.wait_for(lock, stop, pause, [] { return false; });
  if (stop.stop_requested()) return false;
  if (operations.empty()) {
    operations.swap(queue_);
  } else {
    operations.insert(operations.end(), std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
    queue_.clear();
  }
  urgent_ = false;
  due_.reset();
  closed = std::move(closed_done_);
  return true;
}

bool ThreadedStore::next_waits() {
  const std::lock_guard lock(mutex_);
  return urgent_;
}

void ThreadedStore::tell(BatchOutcome outcome, std::function<void()> closed) {
  if (outcome.empty() && !closed) return;
  post_([link = link_, told = std::make_shared<BatchOutcome>(std::move(outcome)), closed = std::move(closed)] {
    if (!link->alive) return;
    if (told->commit && link->on_commit) link->on_commit(*told->commit);
    for (const auto& answer : told->answers) answer();
    if (told->failure && link->on_failure) link->on_failure(*told->failure);
    if (closed) closed();
  });
}

}  // namespace stint::db
