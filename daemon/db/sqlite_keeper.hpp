// What the thread of SqliteStore does with a batch: one transaction, and what is to be done where it cannot be written.
//
// A full disk: the batch again without its new work; then over a log that was emptied; then with the ballast's room; then its
// facts stay queued, reads are answered from what is recorded, and it is tried again every retry_pause(). Any other failure ends
// it. open() on the thread that starts the store, all else on the store's. Only open() throws: Error `unavailable`.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/db/disk.hpp"
#include "daemon/db/fact_writer.hpp"
#include "daemon/db/keeper.hpp"
#include "daemon/db/sql_catalogue.hpp"
#include "daemon/db/sqlite.hpp"
#include "daemon/db/sqlite_store.hpp"

namespace stint::db {

class SqliteKeeper final : public Keeper {
 public:
  explicit SqliteKeeper(SqliteOptions options);

  [[nodiscard]] Recovered open();

  void work(std::vector<Operation>& operations, BatchOutcome& outcome) override;
  void tidy(bool busy, BatchOutcome& outcome) override;
  void close() override;

 private:
  [[nodiscard]] Recovered open_once();
  void let_go();
  void record(std::vector<Operation>& operations, BatchOutcome& outcome);
  /// False where there was no room, and then nothing has happened.
  [[nodiscard]] bool attempt(std::vector<Operation>& operations, bool with_new_work, BatchOutcome& outcome);
  /// False where there was nothing in it, or no room.
  [[nodiscard]] bool empty_log();
  void hold_back(std::vector<Operation>& operations, BatchOutcome& outcome);
  void fail(const std::string& reason, BatchOutcome& outcome);
  [[nodiscard]] std::string why_refused() const;
  [[nodiscard]] int log_pages_max(bool busy) const;

  const SqliteOptions options_;
  const std::optional<std::uint64_t> file_system_;  // its size
  Ballast ballast_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<SqlCatalogue> catalogue_;
  std::unique_ptr<FactWriter> writer_;

  core::PersistNumber durable_ = 0;
  int log_pages_ = 0;      // in the write-ahead log, told by SQLite after each commit
  int checkpoint_at_ = 0;  // not before the log has so many
  bool stuck_ = false;     // what is queued waits for room
  std::chrono::steady_clock::time_point next_try_;
  bool failed_ = false;
};

}  // namespace stint::db
