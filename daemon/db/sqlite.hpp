// SQLite with destructors: a connection, its prepared statements, and failures as exceptions.
//
// Nothing here knows what is stored. One connection is used by one thread at a time. Throws SqliteError.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace stint::db {

class SqliteError : public std::runtime_error {
 public:
  SqliteError(int code, int system_errno, const std::string& what)
      : std::runtime_error(what), code_(code), system_errno_(system_errno) {}
  /// Extended result code.
  [[nodiscard]] int code() const { return code_; }
  /// errno of the call that failed; 0 where none did.
  [[nodiscard]] int system_errno() const { return system_errno_; }
  /// The disk, a quota or a file system's table is full: the same may succeed later, and nothing is broken.
  [[nodiscard]] bool no_room() const;

 private:
  int code_;
  int system_errno_;
};

class Statement;

class Connection {
 public:
  /// Opens an existing file. `vfs` empty: the usual one.
  Connection(const std::string& path, const std::string& vfs);

  [[nodiscard]] Statement prepare(std::string_view sql);
  /// Runs statements that return nothing of interest.
  void run(const std::string& sql);
  /// The first column of the first row; 0 without a row.
  [[nodiscard]] std::int64_t ask(std::string_view sql);

  [[nodiscard]] bool in_transaction() const { return sqlite3_get_autocommit(db_.get()) == 0; }
  [[nodiscard]] std::int64_t changes() const { return sqlite3_changes64(db_.get()); }
  [[nodiscard]] std::int64_t newest_row() const { return sqlite3_last_insert_rowid(db_.get()); }
  /// Copies the log into the database file; pages that are still in the log are returned.
  int checkpoint(int mode);
  /// Fills the log, which must be empty, with zeros: what is written over them need not make the file longer, for which the
  /// file system commits once more at each sync (measured on ext4: a sync takes half of the time).
  void lengthen_log(std::uint64_t bytes);
  [[nodiscard]] sqlite3* raw() const { return db_.get(); }
  [[noreturn]] void fail(int code) const;

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
};

/// Bound values must outlive the step: nothing is copied.
class Statement {
 public:
  Statement(Connection& connection, sqlite3_stmt* statement) : connection_(&connection), statement_(statement) {}

  Statement& bind(int at, std::int64_t value);
  Statement& bind(int at, std::uint64_t value) { return bind(at, static_cast<std::int64_t>(value)); }
  Statement& bind_text(int at, std::string_view text);
  Statement& bind_blob(int at, std::string_view bytes);
  Statement& bind_null(int at);
  template <class T>
  Statement& bind_optional(int at, const std::optional<T>& value) {
    return value ? bind(at, static_cast<std::int64_t>(*value)) : bind_null(at);
  }

  /// True where a row is there to be read.
  [[nodiscard]] bool step();
  /// Steps to the end and makes the statement ready for the next use.
  void run();
  void reset() { sqlite3_reset(statement_.get()); }

  [[nodiscard]] bool is_null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }
  [[nodiscard]] std::int64_t integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  [[nodiscard]] std::uint64_t natural(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  /// Valid until the next step or reset.
  [[nodiscard]] std::string_view bytes(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  void check(int code) const {
    if (code != SQLITE_OK) connection_->fail(code);
  }

  Connection* connection_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// Makes a statement ready for the next use at the end of the scope: an open reader would stop the checkpoint.
class ResetAtEnd {
 public:
  explicit ResetAtEnd(Statement& statement) : statement_(statement) {}
  ResetAtEnd(const ResetAtEnd&) = delete;
  ResetAtEnd& operator=(const ResetAtEnd&) = delete;
  ~ResetAtEnd() { statement_.reset(); }

 private:
  Statement& statement_;
};

}  // namespace stint::db
