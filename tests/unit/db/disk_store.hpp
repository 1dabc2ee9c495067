// A SqliteStore in a directory of its own, asked as if it answered at once, opened and closed as a test likes.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/db/sqlite_store.hpp"
#include "tests/unit/db/finished_jobs.hpp"
#include "tests/unit/db/loop.hpp"

namespace stint::db {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    // In memory where that can be: what a sync costs is of no interest here.
    const std::filesystem::path shared = "/dev/shm";
    const bool in_memory = ::access(shared.c_str(), W_OK) == 0;
    std::string name = ((in_memory ? shared : std::filesystem::temp_directory_path()) / "stint-db-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

class DiskStore {
 public:
  explicit DiskStore(std::string vfs = {})
      : options_{.path = folder_.file("stint.db"),
                 .ballast_path = folder_.file("ballast"),
                 .ballast_bytes = 1U << 20U,
                 .log_bytes = 64U << 10U,
                 .vfs = std::move(vfs)} {}

  [[nodiscard]] SqliteOptions& options() { return options_; }
  [[nodiscard]] Loop& loop() { return loop_; }

  /// A new store on the same files. Throws what recover() throws.
  Recovered open() {
    store_.reset();
    newest_ = durable_ = 0;
    refused_.clear();
    reason_.clear();
    failure_.reset();
    store_ = std::make_unique<SqliteStore>([this](std::function<void()> function) { loop_.post(std::move(function)); }, options_);
    store_->on_commit([this](const CommitResult& result) { on_commit(result); });
    store_->on_failure([this](const std::string& reason) {
      EXPECT_FALSE(failure_) << "told once";
      failure_ = reason;
    });
    return store_->recover();
  }
  /// As a daemon ends.
  void close() {
    bool closed = false;
    store_->close([&] { closed = true; });
    EXPECT_TRUE(loop_.run_until([&] { return closed; }));
    store_.reset();
  }
  /// As a daemon is killed.
  void drop() { store_.reset(); }
  Recovered reopen() {
    close();
    return open();
  }

  core::PersistNumber persist_all(std::vector<core::Fact> facts) {
    store_->persist({++newest_, std::move(facts)});
    return newest_;
  }
  template <class... Facts>
  core::PersistNumber persist(Facts... facts) {
    std::vector<core::Fact> all;
    (all.emplace_back(std::move(facts)), ...);
    return persist_all(std::move(all));
  }
  /// Of a job that is not durable.
  void remember(core::FinishedPtr job) {
    core::Persist handed{0, {}};
    handed.facts.emplace_back(core::FinishFact{std::move(job)});
    store_->persist(std::move(handed));
  }
  /// Waits until all that was handed over is decided, or the store has failed.
  void settle() {
    EXPECT_TRUE(loop_.run_until([this] { return durable_ == newest_ || failure_; }));
  }

  std::vector<Found> get(const std::vector<JobId>& ids) {
    return wait<std::vector<Found>>([&](auto set) { store_->get(ids, set); });
  }
  /// Nothing where the store has failed.
  Found get(JobId id) {
    const auto all = get(std::vector<JobId>{id});
    return all.empty() ? Found{} : all.front();
  }
  core::LoadedSpec load(JobId id) {
    return wait<std::vector<core::LoadedSpec>>([&](auto set) { store_->load({id}, set); }).front();
  }
  core::EndedPtr attempt(JobId id, Attempt attempt) {
    return wait<core::EndedPtr>([&](auto set) { store_->attempt(id, attempt, set); });
  }
  std::vector<core::FinishedPtr> results(ResultsQuery query) {
    return wait<std::vector<core::FinishedPtr>>([&](auto set) { store_->results(query, set); });
  }
  std::vector<core::FinishedPtr> list(ListQuery query) {
    return wait<std::vector<core::FinishedPtr>>([&](auto set) { store_->list(query, set); });
  }
  std::vector<JobId> ended_before(Time time, std::size_t limit) {
    return wait<std::vector<JobId>>([&](auto set) { store_->ended_before(time, limit, set); });
  }
  Overdue look_for_overdue(Retention retention, Time now, PassedOver passed, std::size_t limit) {
    return wait<Overdue>([&](auto set) { store_->overdue(retention, now, passed, limit, set); });
  }
  std::vector<JobId> overdue(Retention retention, Time now, std::size_t limit, PassedOver passed = {}) {
    return ids_of(look_for_overdue(retention, now, passed, limit));
  }
  /// When the next job comes of age.
  std::optional<Time> next_due(Time now, Duration age = std::chrono::hours(1'000)) {
    const Retention ample{.age = age, .jobs = 1'000'000, .output_bytes = std::uint64_t{1} << 50U};
    return look_for_overdue(ample, now, {}, 1'000).next;
  }
  bool knows_group(const std::string& group) {
    return wait<bool>([&](auto set) { store_->knows_group(group, set); });
  }

  [[nodiscard]] SqliteStore& store() { return *store_; }
  [[nodiscard]] core::PersistNumber newest() const { return newest_; }
  [[nodiscard]] core::PersistNumber durable() const { return durable_; }
  /// In the order in which they were told.
  [[nodiscard]] const std::vector<core::PersistNumber>& refused() const { return refused_; }
  [[nodiscard]] bool was_refused(core::PersistNumber number) const { return std::ranges::count(refused_, number) > 0; }
  [[nodiscard]] const std::string& reason() const { return reason_; }
  [[nodiscard]] const std::optional<std::string>& failure() const { return failure_; }

 private:
  void on_commit(const CommitResult& result) {
    EXPECT_FALSE(failure_) << "nothing is acknowledged after a failure";
    EXPECT_GE(result.durable, durable_) << "bounds only grow";
    EXPECT_TRUE(std::ranges::is_sorted(result.refused, std::greater{})) << "newest first";
    EXPECT_EQ(result.refused.empty(), result.reason.empty());
    for (const auto number : result.refused) EXPECT_FALSE(was_refused(number)) << "refused twice: " << number;
    durable_ = result.durable;
    refused_.insert(refused_.end(), result.refused.begin(), result.refused.end());
    if (!result.reason.empty()) reason_ = result.reason;
  }
  template <class T, class Ask>
  T wait(Ask ask) {
    std::optional<T> answer;
    ask([&answer](T value) { answer = std::move(value); });
    EXPECT_FALSE(answer) << "never from inside the call";
    EXPECT_TRUE(loop_.run_until([&] { return answer.has_value() || failure_; }));
    return answer ? std::move(*answer) : T{};
  }

  TemporaryFolder folder_;
  SqliteOptions options_;
  Loop loop_;
  std::unique_ptr<SqliteStore> store_;
  core::PersistNumber newest_ = 0;
  core::PersistNumber durable_ = 0;
  std::vector<core::PersistNumber> refused_;
  std::string reason_;
  std::optional<std::string> failure_;
};

}  // namespace stint::db
