// The start of the store on disk: a file becomes a connection that may be written, and what it holds a Recovered.
//
// A file that this program must not touch is not changed by a byte, and one whose jobs cannot be read is as it was when the
// connection goes. Used before the store's thread begins. Throws Error `unavailable`, SqliteError and StoreFailure.
#pragma once

#include <memory>
#include <string>

#include "daemon/db/sql_catalogue.hpp"
#include "daemon/db/sqlite.hpp"
#include "daemon/db/store.hpp"

namespace stint::db {

/// Opens or makes the database file and has a look at it; locks it for as long as the connection lives.
[[nodiscard]] std::unique_ptr<Connection> open_database(const std::string& path, const std::string& vfs);

/// Begins a transaction that brings the database to this version and counts the epoch; the caller commits it once all is
/// read.
void begin_epoch(Connection& connection);

/// Reads what the daemon goes on with.
[[nodiscard]] Recovered read_recovered(Connection& connection, const SqlCatalogue& catalogue);

}  // namespace stint::db
