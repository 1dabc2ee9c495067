#include "daemon/db/sqlite.hpp"

#include <array>
#include <cerrno>

namespace stint::db {
namespace {

/// Statistics of memory take a mutex at each allocation; too late where somebody else uses SQLite already, and no harm.
void configure_once() {
  static const int once = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(once);
}

/// A null pointer would bind NULL instead of nothing.
const char* start_of(std::string_view text) { return text.data() == nullptr ? "" : text.data(); }

}  // namespace

bool SqliteError::no_room() const {
  // Only of writing: what could not be synced may be in the file all the same.
  return (code_ & 0xff) == SQLITE_FULL || (code_ == SQLITE_IOERR_WRITE && (system_errno_ == ENOSPC || system_errno_ == EDQUOT));
}

Connection::Connection(const std::string& path, const std::string& vfs) {
  configure_once();
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                                   vfs.empty() ? nullptr : vfs.c_str());
  db_.reset(db);
  if (code != SQLITE_OK) fail(code);
}

void Connection::fail(int code) const {
  if (!db_) throw SqliteError(code, 0, sqlite3_errstr(code));
  std::string what = sqlite3_errmsg(db_.get());
  const char* const general = sqlite3_errstr(code);
  if (what != general) what += std::string(" (") + general + ")";
  throw SqliteError(code, sqlite3_system_errno(db_.get()), what);
}

Statement Connection::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) fail(code);
  return {*this, statement};
}

void Connection::run(const std::string& sql) {
  const int code = sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

std::int64_t Connection::ask(std::string_view sql) {
  Statement statement = prepare(sql);
  return statement.step() ? statement.integer(0) : 0;
}

int Connection::checkpoint(int mode) {
  int in_log = 0;
  int copied = 0;
  const int code = sqlite3_wal_checkpoint_v2(db_.get(), nullptr, mode, &in_log, &copied);
  if (code != SQLITE_OK) fail(code);
  return in_log - copied;
}

void Connection::lengthen_log(std::uint64_t bytes) {
  sqlite3_file* log = nullptr;
  const int found = sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&log));
  if (found != SQLITE_OK) fail(found);
  if (log == nullptr || log->pMethods == nullptr) return;
  static constexpr std::array<char, 64U << 10U> zeros{};
  int code = SQLITE_OK;
  for (std::uint64_t at = 0; at < bytes && code == SQLITE_OK; at += zeros.size()) {
    code = log->pMethods->xWrite(log, zeros.data(), static_cast<int>(zeros.size()), static_cast<sqlite3_int64>(at));
  }
  if (code == SQLITE_OK) code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
  if (code != SQLITE_OK) throw SqliteError(code, 0, sqlite3_errstr(code));
}

Statement& Statement::bind(int at, std::int64_t value) {
  check(sqlite3_bind_int64(statement_.get(), at, value));
  return *this;
}

Statement& Statement::bind_text(int at, std::string_view text) {
  check(sqlite3_bind_text64(statement_.get(), at, start_of(text), text.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int at, std::string_view bytes) {
  check(sqlite3_bind_blob64(statement_.get(), at, start_of(bytes), bytes.size(), SQLITE_STATIC));
  return *this;
}

Statement& Statement::bind_null(int at) {
  check(sqlite3_bind_null(statement_.get(), at));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  // Building the error first: a reset would clear the system's errno.
  try {
    connection_->fail(code);
  } catch (const SqliteError&) {
    sqlite3_reset(statement_.get());
    throw;
  }
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

std::string_view Statement::bytes(int column) const {
  // As a blob, whatever the type: SQLite then hands out its own bytes, without converting or ending them.
  const void* const data = sqlite3_column_blob(statement_.get(), column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return data == nullptr ? std::string_view{} : std::string_view(static_cast<const char*>(data), size);
}

}  // namespace stint::db
