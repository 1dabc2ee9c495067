#include "daemon/db/memory_store.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace stint::db {
namespace {

/// So many facts that nobody waits for are worked off together.
constexpr std::size_t lazy_operations_max = 4'096;

}  // namespace

MemoryStore::MemoryStore(Post post, Trouble trouble) : post_(std::move(post)), trouble_(trouble), random_(trouble.seed) {
  link_->store = this;
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

MemoryStore::~MemoryStore() {
  link_->store = nullptr;
  thread_.request_stop();
}

// ---- the I/O thread's side

void MemoryStore::on_commit(CommitCallback callback) { link_->callback = std::move(callback); }

void MemoryStore::hand_over(Operation operation, bool wake) {
  if (closed_) throw std::logic_error("the store is used after it was closed");
  bool notify = false;
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(operation));
    urgent_ = urgent_ || wake || queue_.size() >= lazy_operations_max;
    notify = urgent_ && std::exchange(idle_, false);
  }
  if (notify) wake_.notify_one();
}

void MemoryStore::persist(core::Persist facts) {
  const bool waited_for = facts.number != 0;
  newest_ = std::max(newest_, facts.number);
  hand_over(std::move(facts), waited_for);
}

template <class Look, class Done>
void MemoryStore::ask(Look look, Done done) {
  hand_over(Question([look = std::move(look), done = std::move(done)](const FinishedIndex& index) -> std::function<void()> {
              return [done, answer = look(index)]() mutable { done(std::move(answer)); };
            }),
            true);
}

void MemoryStore::get(std::vector<JobId> ids, std::function<void(std::vector<Found>)> done) {
  ask(
      [ids = std::move(ids)](const FinishedIndex& index) {
        std::vector<Found> found;
        found.reserve(ids.size());
        for (const JobId id : ids) found.push_back(index.get(id));
        return found;
      },
      std::move(done));
}

void MemoryStore::results(ResultsQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) {
  ask([query = std::move(query)](const FinishedIndex& index) { return index.results(query); }, std::move(done));
}

void MemoryStore::list(ListQuery query, std::function<void(std::vector<core::FinishedPtr>)> done) {
  ask([query](const FinishedIndex& index) { return index.list(query); }, std::move(done));
}

void MemoryStore::ended_before(Time time, std::size_t limit, std::function<void(std::vector<JobId>)> done) {
  ask([time, limit](const FinishedIndex& index) { return index.ended_before(time, limit); }, std::move(done));
}

void MemoryStore::overdue(Retention retention, Time now, std::size_t limit, std::function<void(std::vector<JobId>)> done) {
  ask([=](const FinishedIndex& index) { return index.overdue(retention, now, limit); }, std::move(done));
}

void MemoryStore::knows_group(std::string group, std::function<void(bool)> done) {
  ask([group = std::move(group)](const FinishedIndex& index) { return index.knows_group(group); }, std::move(done));
}

void MemoryStore::close(std::function<void()> done) {
  if (std::exchange(closed_, true)) throw std::logic_error("the store is closed twice");
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    closed_done_ = std::move(done);
    urgent_ = true;
  }
  wake_.notify_one();
}

// The core has just undone the refused submits: nothing that it hands over from now on is about their jobs.
void MemoryStore::delivered(const Batch& batch) {
  if (batch.refused_jobs.empty()) return;
  const std::lock_guard lock(mutex_);
  for (const auto& [first, count] : batch.refused_jobs) horizons_.push_back({first, count, newest_});
}

// ---- the store's thread

void MemoryStore::run(const std::stop_token& stop) {
  for (bool last = false; !last;) {
    std::vector<Operation> operations;
    std::function<void()> done;
    {
      std::unique_lock lock(mutex_);
      idle_ = true;
      wake_.wait(lock, stop, [this] { return urgent_; });
      idle_ = false;
      if (stop.stop_requested()) return;
    }
    wait_for_trouble(stop);
    {
      const std::lock_guard lock(mutex_);
      operations.swap(queue_);
      urgent_ = false;
      last = closing_;
      if (last) done = std::move(closed_done_);
      for (const auto& known : std::exchange(horizons_, {})) {
        const auto of = std::ranges::find(refused_, known.first, &Refused::first);
        if (of != refused_.end()) of->horizon = known.horizon;
      }
    }
    auto batch = std::make_shared<Batch>();
    work(std::move(operations), *batch);
    if (batch->result.durable == 0 && batch->answers.empty() && !done) continue;
    post_([link = link_, batch, done = std::move(done)] {
      if (link->store == nullptr) return;
      if (batch->result.durable != 0 && link->callback) link->callback(batch->result);
      if (link->store != nullptr) link->store->delivered(*batch);
      for (const auto& answer : batch->answers) answer();
      if (done) done();
    });
  }
}

void MemoryStore::wait_for_trouble(const std::stop_token& stop) {
  if (trouble_.delay_max.count() <= 0) return;
  std::uniform_int_distribution<std::int64_t> delay(0, trouble_.delay_max.count());
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, stop, std::chrono::microseconds(delay(random_)), [] { return false; });
}

void MemoryStore::work(std::vector<Operation> operations, Batch& batch) {
  for (auto& operation : operations) {
    if (auto* const persist = std::get_if<core::Persist>(&operation)) {
      commit(std::move(*persist), batch);
    } else {
      batch.answers.push_back(std::get<Question>(operation)(index_));
    }
  }
  std::ranges::reverse(batch.result.refused);  // newest first
  if (batch.result.durable != 0) forget_refused(batch.result.durable);
}

void MemoryStore::commit(core::Persist persist, Batch& batch) {
  bool refuse = false;
  if (trouble_.refuse > 0 && std::ranges::any_of(persist.facts, core::refusable)) {
    refuse = std::bernoulli_distribution(trouble_.refuse)(random_);
  }
  for (auto& fact : persist.facts) {
    const auto* const submit = std::get_if<core::SubmitFact>(&fact);
    if (refuse && submit != nullptr) {
      refused_.push_back({submit->first, submit->jobs.size(), 0});
      batch.refused_jobs.emplace_back(submit->first, submit->jobs.size());
    }
    if (!refuse || !core::refusable(fact)) apply(std::move(fact));
  }
  if (persist.number == 0) return;
  batch.result.durable = persist.number;
  if (refuse) {
    batch.result.refused.push_back(persist.number);
    batch.result.reason = "the store has no room for new work";
  }
}

// Unfinished jobs are the core's to remember: without a disk there is nobody to remember them for.
void MemoryStore::apply(core::Fact fact) {
  if (auto* const finish = std::get_if<core::FinishFact>(&fact)) {
    if (!of_refused(finish->job->id)) index_.add(std::move(finish->job));
  } else if (const auto* const forget = std::get_if<core::ForgetFact>(&fact)) {
    for (const JobId id : forget->ids) index_.forget(id);
  }
}

bool MemoryStore::of_refused(JobId id) const {
  return std::ranges::any_of(refused_, [id](const Refused& each) { return id - each.first < each.count; });
}

void MemoryStore::forget_refused(core::PersistNumber decided) {
  std::erase_if(refused_, [decided](const Refused& each) { return each.horizon != 0 && each.horizon <= decided; });
}

}  // namespace stint::db
