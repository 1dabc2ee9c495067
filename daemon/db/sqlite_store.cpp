#include "daemon/db/sqlite_store.hpp"

#include <utility>

#include "daemon/db/sqlite_keeper.hpp"

namespace stint::db {

SqliteStore::SqliteStore(Post post, SqliteOptions options)
    : SqliteStore(std::move(post), std::make_unique<SqliteKeeper>(std::move(options))) {}

SqliteStore::SqliteStore(Post post, std::unique_ptr<SqliteKeeper> keeper)
    : ThreadedStore(std::move(post), std::move(keeper)), keeper_(static_cast<SqliteKeeper&>(this->keeper())) {}

Recovered SqliteStore::recover() {
  Recovered recovered = keeper_.open();
  start();
  return recovered;
}

}  // namespace stint::db
