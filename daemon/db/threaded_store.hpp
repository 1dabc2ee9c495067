// The half of a Store that memory and disk have in common: a thread of its own, batches, and answers posted back.
//
// What piles up while one batch is worked on forms the next. Facts of non-durable jobs (Persist 0) wake nobody: they
// wait for company or for a question. Patient ones wait for company, too, but for a moment only: a commit costs much the
// same for one fact and for twenty. All calls on the I/O thread; `post` is called on the store's thread, once a batch.
// Throws std::logic_error where it is used after close().
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "daemon/db/keeper.hpp"
#include "daemon/db/store.hpp"

namespace stint::db {

class ThreadedStore : public Store {
 public:
  /// Runs a function on the I/O thread, soon; must not run it inside the call.
  using Post = std::function<void(std::function<void()>)>;

  ThreadedStore(const ThreadedStore&) = delete;
  ThreadedStore& operator=(const ThreadedStore&) = delete;
  /// Without close() before it: what was not answered is never answered.
  ~ThreadedStore() override;

  void on_failure(std::function<void(const std::string& reason)> callback) override;
  void on_commit(CommitCallback callback) override;
  void persist(core::Persist facts) override;
  void get(std::vector<JobId> ids, std::function<void(std::vector<Found>)> done) override;
  void load(std::vector<JobId> ids, std::function<void(std::vector<core::LoadedSpec>)> done) override;
  void attempt(JobId id, Attempt attempt, std::function<void(core::EndedPtr)> done) override;
  void results(ResultsQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) override;
  void list(ListQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) override;
  void ended_before(Time time, std::size_t limit, std::function<void(std::vector<JobId>)> done) override;
  void overdue(Retention retention, Time now, PassedOver passed, std::size_t limit,
               std::function<void(const Overdue&)> done) override;
  void knows_group(std::string group, std::function<void(bool)> done) override;
  void close(std::function<void()> done) override;

 protected:
  /// The keeper must outlive the thread: it is owned here.
  ThreadedStore(Post post, std::unique_ptr<Keeper> keeper);

  [[nodiscard]] Keeper& keeper() { return *keeper_; }
  /// Starts the thread; what was handed over before waits for it. Once only.
  void start();

 private:
  /// What the posted functions need: they may outlive the store.
  struct Link {
    CommitCallback on_commit;
    std::function<void(const std::string&)> on_failure;
    bool alive = true;  // the store is still there; I/O thread only
  };

  enum class Haste : std::uint8_t { none, soon, now };
  void hand_over(Operation operation, Haste haste);
  template <class Look, class Done>
  void ask(Look look, Done done);

  // The store's thread.
  void run(const std::stop_token& stop);
  /// Appends what has come to `operations`; false where the thread must go.
  bool take(const std::stop_token& stop, std::vector<Operation>& operations, std::function<void()>& closed);
  void tell(BatchOutcome outcome, std::function<void()> closed);
  [[nodiscard]] bool next_waits();

  const Post post_;
  const std::unique_ptr<Keeper> keeper_;
  const std::shared_ptr<Link> link_ = std::make_shared<Link>();
  bool closed_ = false;  // I/O thread

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<Operation> queue_;                              // under mutex_
  bool idle_ = false;                                         // the thread waits; under mutex_
  bool urgent_ = false;                                       // something in queue_ is waited for; under mutex_
  std::optional<std::chrono::steady_clock::time_point> due_;  // until then the rest may wait; under mutex_
  std::function<void()> closed_done_;                         // under mutex_

  std::jthread thread_;  // last: the first to go
};

}  // namespace stint::db
