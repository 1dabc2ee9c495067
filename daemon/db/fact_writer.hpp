// Facts become rows: what each kind changes, in one transaction that the caller begins and ends.
//
// Knows no refusals and no trouble: a Persist is recorded with or without its new work, as the caller says. The store's
// thread only. Throws SqliteError; then the caller rolls back and says so.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/core/effects.hpp"
#include "daemon/db/output_sync.hpp"
#include "daemon/db/sql_catalogue.hpp"
#include "daemon/db/sqlite.hpp"
#include "daemon/db/toolbox_rows.hpp"

namespace stint::db {

class FactWriter {
 public:
  /// Longer specifications have a row of their own, which is not written again when their job starts or ends.
  static constexpr std::size_t inline_spec_bytes_max = 2'048;

  /// Of groups whose members are all purged the newest `groups_max` are still known, give or take a hundredth.
  FactWriter(Connection& connection, SqlCatalogue& catalogue, std::int64_t groups_max, std::string output_folder);

  /// Finishes of non-durable jobs (number 0) are taken out of the Persist: recording it again does not repeat them.
  void record(core::Persist& persist, bool with_new_work);
  /// The output files of the ends in it are synced first: an announced result is whole after a power cut.
  void commit();
  /// Nothing since the last commit has happened.
  void roll_back();

  [[nodiscard]] bool in_transaction() const { return connection_.in_transaction(); }

 private:
  /// The row of `state`.
  struct State {
    JobId ids = 1;
    Seq seqs = 1;
    std::uint64_t jobs = 0;
    bool operator==(const State&) const = default;
  };
  struct LastSpec {
    const JobSpec* spec = nullptr;
    std::int64_t row = 0;
    std::int64_t uses = 0;
  };

  void begin();
  void read_state();

  void submit(const core::SubmitFact& fact, const std::vector<Attempt>& attempts);
  void insert_job(const core::SubmitFact& fact, std::size_t at, Attempt attempt, LastSpec& shared);
  void settle(const LastSpec& shared);
  void introduce(const core::User& user);
  void start(const core::StartFact& fact);
  void retry(const core::EndedAttempt& attempt);
  void cancel(const core::CancelFact& fact);
  void finish(const core::FinishFact& fact);
  [[nodiscard]] std::uint64_t earlier_bytes(const core::FinishedJob& job);
  std::int64_t label(const std::string& name);
  void trim_labels();
  void forget(const core::ForgetFact& fact);
  void set_pool(const core::SetPoolFact& fact);
  void note_purged(std::vector<JobId> ids);
  void note_purged_run(JobId first, JobId last);

  Connection& connection_;
  SqlCatalogue& catalogue_;
  ToolboxRows toolbox_;
  OutputSync outputs_;
  State state_;
  State stored_state_;
  KeptTotals stored_totals_;
  const std::int64_t groups_max_;
  std::int64_t labels_ = 0;
  std::int64_t labels_trim_at_;
  std::map<std::string, std::int64_t> label_rows_;  // of groups that finished lately
  std::string ending_;

  Statement begin_;
  Statement commit_;
  Statement insert_job_;
  Statement insert_spec_;
  Statement add_spec_uses_;
  Statement drop_spec_use_;
  Statement delete_spec_;
  Statement insert_user_;
  Statement start_;
  Statement retry_;
  Statement insert_attempt_;
  Statement earlier_bytes_;
  Statement cancel_;
  Statement finish_;
  Statement delete_job_;
  Statement insert_label_;
  Statement trim_labels_;
  Statement forget_;
  Statement purged_around_;
  Statement delete_purged_;
  Statement insert_purged_;
  Statement insert_key_;
  Statement delete_key_;
  Statement delete_attempts_;
  Statement put_pool_;
  Statement delete_pool_;
  Statement update_state_;
};

}  // namespace stint::db
