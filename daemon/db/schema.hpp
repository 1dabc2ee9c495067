// The layout of the database file, the steps from each version to the next, and the look at a file before it is touched.
//
// Versions are append-only: a step that was ever released is never changed. Numbers of enumerations stand on disk and
// are pinned here. Used while the store starts. Throws Error `unavailable` for a file that this program must not touch,
// SqliteError otherwise.
#pragma once

#include <string>

#include "common/error.hpp"
#include "daemon/db/sqlite.hpp"

namespace stint::db {

/// "stnt": tells our files from those of other programs.
inline constexpr std::int64_t application_id = 0x73746e74;

/// The version that this program writes.
[[nodiscard]] std::int64_t schema_version();

/// The refusal of a file that `what` ("is damaged: …").
[[nodiscard]] Error unreadable_store(const std::string& path, const std::string& what);

/// Looks at the file and its log without SQLite and without writing: throws where one is there and is not what it should be or
/// cannot be written, and where a log lies beside a database that is gone. True where there is a database; false where there is
/// nothing yet.
[[nodiscard]] bool look_at_file(const std::string& path);

/// Reads the whole start of an opened database and writes nothing: throws where it is damaged, another program's or newer.
void check_database(Connection& connection, const std::string& path);

/// Takes the database, in the caller's transaction, to schema_version().
void migrate(Connection& connection);

}  // namespace stint::db
