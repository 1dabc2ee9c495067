// Finished jobs of the store on disk: those on disk, those that are not durable, and in memory what has just finished.
//
// A stream that follows live results is answered from memory and decodes nothing: `hot_` holds every durable job above
// `floor_`, up to bounds of jobs and bytes. The store's thread only. Throws SqliteError, and StoreFailure where a row
// cannot be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/db/catalogue.hpp"
#include "daemon/db/finished_index.hpp"
#include "daemon/db/spec_shelf.hpp"
#include "daemon/db/sqlite.hpp"

namespace stint::db {

class SqlCatalogue final : public Catalogue {
 public:
  static constexpr std::size_t hot_jobs_max = 4'096;
  static constexpr std::size_t hot_bytes_max = 4U << 20U;  ///< of records, results and output

  explicit SqlCatalogue(Connection& connection);

  [[nodiscard]] Found get(JobId id) const override;
  [[nodiscard]] core::LoadedSpec load(JobId id) const override;
  [[nodiscard]] core::EndedPtr attempt(JobId id, Attempt attempt) const override;
  [[nodiscard]] std::vector<core::FinishedPtr> results(const ResultsQuery& query) const override;
  [[nodiscard]] std::vector<core::FinishedPtr> list(const ListQuery& query) const override;
  [[nodiscard]] std::vector<JobId> ended_before(Time time, std::size_t limit) const override;
  [[nodiscard]] Overdue overdue(const Retention& retention, Time now, const PassedOver& passed, std::size_t limit) const override;
  [[nodiscard]] bool knows_group(const std::string& group) const override;

  // What the writer tells.
  void add_transient(core::FinishedPtr job) { transient_.add(std::move(job)); }
  void add_transient(core::EndedPtr attempt) { transient_.add(std::move(attempt)); }
  /// True where it is, or was, a job that is not durable.
  bool forget_transient(JobId id);
  /// `kept_bytes`: of the output of all its attempts.
  void finished(core::FinishedPtr job, std::uint64_t kept_bytes);
  void forgotten(JobId id, std::uint64_t kept_bytes);
  /// What was told since the last commit never came to be.
  void rolled_back(KeptTotals totals);
  [[nodiscard]] KeptTotals durable_totals() const { return totals_; }

  // Shared with the writer and recovery.
  [[nodiscard]] SpecShelf& specs() const { return specs_; }
  /// The specification of a row: its own text, or that of the row of `spec`.
  [[nodiscard]] std::shared_ptr<const JobSpec> spec_of(const Statement& row, int spec_column, int body_column) const;
  [[nodiscard]] std::shared_ptr<const core::User> user_of(std::int64_t uid) const;
  /// True where the user is known by this name already.
  [[nodiscard]] bool knows_user(const core::User& user) const;
  void remember_user(std::shared_ptr<const core::User> user) { users_[user->uid] = std::move(user); }
  [[nodiscard]] std::optional<std::int64_t> label_row(const std::string& name) const;

 private:
  struct Hot {
    JobId id = 0;
    std::size_t bytes = 0;
  };

  [[nodiscard]] core::FinishedPtr decode(const Statement& row) const;
  [[nodiscard]] std::vector<core::FinishedPtr> read_page(Statement& query, std::size_t limit) const;
  [[nodiscard]] std::vector<core::FinishedPtr> stored_results(const ResultsQuery& query) const;
  [[nodiscard]] static Aged aged(const Statement& row);
  [[nodiscard]] static std::vector<Aged> read_aged(Statement& query);
  /// Those that do not say themselves how long they are kept, as Oldest wants them.
  void read_plain(Oldest& oldest, const Retention& retention, Time now, Seq after, std::size_t limit) const;
  void trim_hot();
  /// From here on everything is read from disk, until it finishes anew.
  void cool();

  // Statements are machines that a question runs: answers do not change what is stored.
  mutable Statement by_id_;
  mutable Statement load_unfinished_;
  mutable Statement load_finished_;
  mutable Statement attempt_;
  mutable Statement by_seq_;
  mutable Statement by_user_;
  mutable Statement by_label_;
  mutable Statement by_id_range_;
  mutable Statement oldest_;
  mutable Statement oldest_plain_;
  mutable Statement past_own_;
  mutable Statement next_own_;
  mutable Statement purged_;
  mutable Statement spec_;
  mutable Statement user_;
  mutable Statement label_;
  mutable SpecShelf specs_;
  mutable std::map<std::int64_t, std::shared_ptr<const core::User>> users_;

  FinishedIndex transient_;
  FinishedIndex hot_;
  std::deque<Hot> hot_order_;  // ascending seq; some may be gone
  std::size_t hot_bytes_ = 0;
  Seq floor_;                 // every durable job with a larger seq is in hot_
  Seq newest_;                // the largest that was ever there
  mutable Seq all_keep_ = 0;  // those up to here all say themselves how long they are kept
  KeptTotals totals_;
};

}  // namespace stint::db
