// The start of the store on disk: a file becomes a connection that may be written, and what it holds a Recovered.
//
// A file that this program must not touch is not changed by a byte. Used once, before the store's thread begins. Throws
// Error `unavailable`, SqliteError and StoreFailure.
#pragma once

#include <memory>
#include <string>

#include "daemon/db/disk.hpp"
#include "daemon/db/sql_catalogue.hpp"
#include "daemon/db/sqlite.hpp"
#include "daemon/db/store.hpp"

namespace stint::db {

/// Opens or makes the database, brings it to this version and begins a new epoch. Takes the ballast's room if it must.
[[nodiscard]] std::unique_ptr<Connection> open_database(const std::string& path, const std::string& vfs, Ballast& ballast);

/// Reads what the daemon goes on with.
[[nodiscard]] Recovered read_recovered(Connection& connection, const SqlCatalogue& catalogue);

}  // namespace stint::db
