#include "daemon/db/sqlite_keeper.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <limits>
#include <utility>

#include "common/error.hpp"
#include "daemon/db/recovery.hpp"
#include "daemon/db/schema.hpp"

namespace stint::db {
namespace {

constexpr std::string_view full_reason = "the disk is full";

constexpr int page_bytes = 4'096;
/// Pages in the log from which it is copied into the database: between batches, and where the next one waits. Fewer on a small
/// file system.
constexpr int log_pages_idle = 1'024;
constexpr int log_pages_busy = 8'192;
int on_log(void* pages, sqlite3*, const char*, int in_log) {
  *static_cast<int*>(pages) = in_log;
  return SQLITE_OK;
}

Error cannot_open(const std::string& path, const SqliteError& error) {
  const int primary = error.code() & 0xff;
  if (error.no_room()) {
    return unavailable("the store " + path + " cannot be opened: " + std::string(full_reason) + ". Make room and start again",
                       std::string(full_reason));
  }
  if (primary == SQLITE_BUSY) {
    return unavailable("the store " + path + " is in use by another program: end it, and start again", "in use");
  }
  // Our own statements are right: a table or a column that they name is missing.
  if (primary == SQLITE_NOTADB || primary == SQLITE_CORRUPT || primary == SQLITE_ERROR)
    return unreadable_store(path, std::string("is damaged: ") + error.what());
  std::string why = error.what();
  if (error.system_errno() != 0) why += std::string(": ") + std::strerror(error.system_errno());
  return unavailable("the store " + path + " cannot be opened: " + why +
                         ". Nothing was changed: look at its disk and at the system's log, then start again",
                     why);
}

}  // namespace

SqliteKeeper::SqliteKeeper(SqliteOptions options)
    : options_(std::move(options)),
      file_system_(file_system_bytes(options_.path)),
      ballast_(options_.ballast_path, share_of(file_system_, options_.ballast_bytes)) {}

Recovered SqliteKeeper::open() {
  ballast_.require_own_name();
  try {
    try {
      return open_once();
    } catch (const SqliteError& error) {
      let_go();
      if (!error.no_room() || !ballast_.release()) throw;
      return open_once();
    }
  } catch (const SqliteError& error) {
    throw cannot_open(options_.path, error);
  } catch (const StoreFailure& error) {
    throw unreadable_store(options_.path, std::string("is damaged: ") + error.what());
  }
}

Recovered SqliteKeeper::open_once() {
  connection_ = open_database(options_.path, options_.vfs);
  sqlite3_wal_hook(connection_->raw(), on_log, &log_pages_);
  begin_epoch(*connection_);
  catalogue_ = std::make_unique<SqlCatalogue>(*connection_);
  Recovered recovered = read_recovered(*connection_, *catalogue_);
  // Looks for all tables that it will need: before the commit, so that a file that lacks one is not changed.
  writer_ = std::make_unique<FactWriter>(*connection_, *catalogue_, options_.groups_max, options_.output_folder);
  connection_->run("COMMIT");
  try {
    connection_->checkpoint(SQLITE_CHECKPOINT_TRUNCATE);
    connection_->lengthen_log(share_of(file_system_, options_.log_bytes));
  } catch (const SqliteError& error) {
    if (!error.no_room()) throw;  // what is in the log is as durable there
  }
  static_cast<void>(ballast_.ensure());
  return recovered;
}

void SqliteKeeper::work(std::vector<Operation>& operations, BatchOutcome& outcome) {
  if (failed_ || !writer_) {
    operations.clear();
    return;
  }
  try {
    record(operations, outcome);
  } catch (const std::exception& error) {
    operations.clear();
    fail(error.what(), outcome);
  }
}

void SqliteKeeper::record(std::vector<Operation>& operations, BatchOutcome& outcome) {
  if (stuck_ && std::chrono::steady_clock::now() < next_try_) {
    hold_back(operations, outcome);
    return;
  }
  bool with_new_work = ballast_.ensure();
  bool log_was_emptied = false;
  while (!attempt(operations, with_new_work, outcome)) {
    if (std::exchange(with_new_work, false)) continue;
    if (!std::exchange(log_was_emptied, true) && empty_log()) continue;
    if (ballast_.release()) continue;
    stuck_ = true;
    next_try_ = std::chrono::steady_clock::now() + retry_pause();
    hold_back(operations, outcome);
    return;
  }
  stuck_ = false;
}

bool SqliteKeeper::attempt(std::vector<Operation>& operations, bool with_new_work, BatchOutcome& outcome) {
  CommitResult result;
  std::vector<std::function<void()>> answers;
  try {
    for (auto& operation : operations) {
      if (auto* const persist = std::get_if<core::Persist>(&operation)) {
        writer_->record(*persist, with_new_work);
        result.durable = std::max(result.durable, persist->number);
        if (!has_new_work(*persist)) continue;
        if (with_new_work) {
          result.took_new_work = true;
        } else {
          result.refused.push_back(persist->number);
        }
      } else {
        answers.push_back(std::get<Question>(operation)(*catalogue_));
      }
    }
    writer_->commit();
  } catch (const SqliteError& error) {
    if (!error.no_room()) throw;
    writer_->roll_back();
    return false;
  }
  operations.clear();
  outcome.answers = std::move(answers);
  if (result.durable == 0) return true;
  durable_ = result.durable;
  std::ranges::reverse(result.refused);  // newest first
  if (!result.refused.empty()) result.reason = why_refused();
  outcome.commit = std::move(result);
  return true;
}

// What is new work and nothing else is decided: refused. The rest waits, and nothing is said of it.
void SqliteKeeper::hold_back(std::vector<Operation>& operations, BatchOutcome& outcome) {
  CommitResult result;
  result.durable = durable_;
  result.reason = why_refused();
  std::vector<Operation> kept;
  for (auto& operation : operations) {
    auto* const persist = std::get_if<core::Persist>(&operation);
    if (persist == nullptr) {
      outcome.answers.push_back(std::get<Question>(operation)(*catalogue_));
    } else if (persist->number == 0) {
      writer_->record(*persist, false);
    } else {
      if (is_only_new_work(*persist)) {
        result.refused.push_back(persist->number);
        persist->facts.clear();
      }
      kept.push_back(std::move(operation));
    }
  }
  operations = std::move(kept);
  if (result.refused.empty()) return;
  std::ranges::reverse(result.refused);
  outcome.commit = std::move(result);
}

std::string SqliteKeeper::why_refused() const {
  std::string why(full_reason);
  if (const std::uint64_t wanted = ballast_.room_wanted(); wanted != 0) {
    why += ": new work is taken again when " + std::to_string(wanted >> 10U) + " KiB are free";
  }
  return why;
}

// On a small file system before the log fills the room that it was given at the start: that the database has none to grow is
// to be found out then, and not with what the ballast gave back, which a checkpoint that fails would use up.
int SqliteKeeper::log_pages_max(bool busy) const {
  const std::uint64_t pages = share_of(file_system_, std::numeric_limits<std::uint64_t>::max()) / page_bytes;
  return static_cast<int>(std::min<std::uint64_t>(busy ? log_pages_busy : log_pages_idle, pages / 5 * 4));
}

void SqliteKeeper::tidy(bool busy, BatchOutcome& outcome) {
  if (failed_ || !writer_ || log_pages_ < std::max(checkpoint_at_, log_pages_max(busy))) return;
  try {
    // Without room it is tried again when there is more to be gained.
    checkpoint_at_ = empty_log() ? 0 : log_pages_ + log_pages_max(false);
  } catch (const SqliteError& error) {
    fail(error.what(), outcome);
  }
}

// What is copied into the database is written over by the next commits, which then need no room.
bool SqliteKeeper::empty_log() {
  if (log_pages_ == 0) return false;
  try {
    connection_->checkpoint(SQLITE_CHECKPOINT_PASSIVE);
    log_pages_ = 0;
    return true;
  } catch (const SqliteError& error) {
    if (!error.no_room()) throw;
    return false;
  }
}

void SqliteKeeper::fail(const std::string& reason, BatchOutcome& outcome) {
  failed_ = true;
  outcome = {};
  outcome.failure = "the store " + options_.path + " failed: " + reason;
}

void SqliteKeeper::close() {
  if (writer_ && !failed_) {
    try {
      connection_->checkpoint(SQLITE_CHECKPOINT_TRUNCATE);
    } catch (const SqliteError&) {
      // The log stays: the next start reads it.
      failed_ = true;
    }
  }
  let_go();
}

void SqliteKeeper::let_go() {
  writer_.reset();
  catalogue_.reset();
  connection_.reset();
}

}  // namespace stint::db
