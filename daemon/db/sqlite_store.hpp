// The Store on disk: SQLite in WAL mode with synchronous=FULL, one connection for the daemon's life, on one thread.
//
// recover() opens it, on the caller's thread, before the store's own thread begins. While the disk is full, new work is
// refused, facts are kept until they can be recorded, reads go on, and so does all by itself when there is room; any other
// failure is told once and then nothing is acknowledged any more. Nobody else may open the file meanwhile: it is locked.
// Threads and errors otherwise as in ThreadedStore.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "daemon/db/threaded_store.hpp"

namespace stint::db {

struct SqliteOptions {
  std::string path;                           ///< STATE/stint.db; made if missing, its folder must be there
  std::string ballast_path;                   ///< STATE/ballast; empty: none
  std::string output_folder = {};             ///< STATE/out, whose files are synced with their ends; empty: none
  std::uint64_t ballast_bytes = 4ULL << 20U;  ///< kept free for what must be recorded on a full disk; 0: none
  std::int64_t groups_max = 100'000;          ///< of groups whose members are all purged so many are still known
  std::uint64_t log_bytes = 5ULL << 20U;      ///< the log's size from the start (sqlite.hpp, lengthen_log)
  std::string vfs;                            ///< of SQLite, for tests; empty: the usual one
};

class SqliteKeeper;

class SqliteStore final : public ThreadedStore {
 public:
  SqliteStore(Post post, SqliteOptions options);

  /// Once, before anything is asked. Throws Error `unavailable` with a sentence that names the file; one that is damaged,
  /// no database or of a newer version is not changed.
  Recovered recover() override;

 private:
  SqliteStore(Post post, std::unique_ptr<SqliteKeeper> keeper);

  SqliteKeeper& keeper_;
};

}  // namespace stint::db
