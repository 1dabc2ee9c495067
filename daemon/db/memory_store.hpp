// The first Store: keeps everything in memory, and answers as a store on disk does: later, in batches, from another
// thread.
//
// What piles up while one batch is worked on forms the next. Facts of non-durable jobs (Persist 0) wake nobody: they
// wait for company or for a question. Keeps nothing beyond the process. All calls on the I/O thread; `post` is called
// on the store's thread, once a batch. Throws std::logic_error where it is used after close().
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/db/finished_index.hpp"
#include "daemon/db/store.hpp"

namespace stint::db {

class MemoryStore final : public Store {
 public:
  /// Runs a function on the I/O thread, soon; must not run it inside the call.
  using Post = std::function<void(std::function<void()>)>;

  /// For tests: a store that is slow and short of room, at random but the same for the same seed and batches.
  struct Trouble {
    std::uint64_t seed = 0;
    std::chrono::microseconds delay_max{0};  ///< before each batch, 0 … this
    double refuse = 0;                       ///< probability that new work is refused, for each Persist
  };

  explicit MemoryStore(Post post) : MemoryStore(std::move(post), Trouble{}) {}
  MemoryStore(Post post, Trouble trouble);
  /// Without close() before it: what was not answered is never answered.
  ~MemoryStore() override;

  Recovered recover() override { return {}; }
  void on_failure(std::function<void(const std::string&)> callback) override { static_cast<void>(callback); }  // it has none
  void on_commit(CommitCallback callback) override;
  void persist(core::Persist facts) override;
  void get(std::vector<JobId> ids, std::function<void(std::vector<Found>)> done) override;
  void results(ResultsQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) override;
  void list(ListQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) override;
  void ended_before(Time time, std::size_t limit, std::function<void(std::vector<JobId>)> done) override;
  void overdue(Retention retention, Time now, std::size_t limit, std::function<void(std::vector<JobId>)> done) override;
  void knows_group(std::string group, std::function<void(bool)> done) override;
  void close(std::function<void()> done) override;

 private:
  /// Looks things up on the store's thread and returns what is to be called on the I/O thread.
  using Question = std::function<std::function<void()>(const FinishedIndex&)>;
  using Operation = std::variant<core::Persist, Question>;
  struct Batch {
    CommitResult result;
    std::vector<std::function<void()>> answers;
    std::vector<std::pair<JobId, std::uint64_t>> refused_jobs;  // first, count
  };
  /// What the posted functions need: they may outlive the store.
  struct Link {
    CommitCallback callback;
    MemoryStore* store = nullptr;  // null once it is gone; I/O thread only
  };
  /// Jobs whose submit was refused: facts about them that were on their way are dropped, up to Persist `horizon`.
  struct Refused {
    JobId first = 0;
    std::uint64_t count = 0;
    core::PersistNumber horizon = 0;  // 0: the core does not know of it yet
  };

  void hand_over(Operation operation, bool wake);
  template <class Look, class Done>
  void ask(Look look, Done done);

  // The store's thread.
  void run(const std::stop_token& stop);
  void wait_for_trouble(const std::stop_token& stop);
  void work(std::vector<Operation> operations, Batch& batch);
  void commit(core::Persist persist, Batch& batch);
  void apply(core::Fact fact);
  [[nodiscard]] bool of_refused(JobId id) const;
  void forget_refused(core::PersistNumber decided);

  // I/O thread.
  void delivered(const Batch& batch);

  const Post post_;
  const Trouble trouble_;
  const std::shared_ptr<Link> link_ = std::make_shared<Link>();
  core::PersistNumber newest_ = 0;  // handed over; I/O thread
  bool closed_ = false;             // I/O thread

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<Operation> queue_;       // under mutex_
  bool idle_ = false;                  // the thread waits; under mutex_
  bool urgent_ = false;                // something in queue_ is waited for; under mutex_
  bool closing_ = false;               // under mutex_
  std::function<void()> closed_done_;  // under mutex_
  std::vector<Refused> horizons_;      // told to the thread by delivered(); under mutex_

  FinishedIndex index_;  // the store's thread from here on
  std::vector<Refused> refused_;
  std::mt19937_64 random_;

  std::jthread thread_;  // last: the first to go
};

}  // namespace stint::db
