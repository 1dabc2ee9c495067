#include "daemon/db/recovery.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "common/error.hpp"
#include "common/unique_fd.hpp"
#include "daemon/db/disk.hpp"
#include "daemon/db/schema.hpp"
#include "daemon/db/toolbox_rows.hpp"

namespace stint::db {
namespace {

void make_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) throw unavailable("the store " + path + " cannot be made: " + std::strerror(errno), std::strerror(errno));
}

/// Nothing of this writes. The exclusive lock is held from the first read to the end, and the index of the log lies in
/// memory; closing must never copy the log: a process that was forked off would do it behind our back.
void settle_before_reading(Connection& connection) {
  sqlite3_db_config(connection.raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(connection.raw(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  connection.run("PRAGMA locking_mode=EXCLUSIVE");
  connection.run("PRAGMA wal_autocheckpoint=0");
  connection.run("PRAGMA temp_store=MEMORY");
  connection.run("PRAGMA cache_size=-8192");
  connection.run("PRAGMA synchronous=FULL");
  connection.run("PRAGMA secure_delete=FAST");
  connection.run("PRAGMA journal_size_limit=67108864");
}

StoredJob stored_job(const Statement& row, const SqlCatalogue& catalogue) {
  StoredJob job;
  job.id = row.natural(0);
  job.attempt = static_cast<Attempt>(row.natural(1));
  job.cancelled = row.integer(2) != 0;
  job.submitted_at = Time{Duration{row.integer(3)}};
  const std::uint64_t executor = row.natural(4);
  const std::uint64_t lane = row.natural(5);
  if (executor >= json::EnumNames<ExecutorKind>::names.size() || lane >= core::lane_count) {
    throw StoreFailure("job " + std::to_string(job.id) + " runs where this version knows no place");
  }
  job.executor = static_cast<ExecutorKind>(executor);
  job.lane = static_cast<core::Lane>(lane);
  if (!row.is_null(6)) job.user = catalogue.user_of(row.integer(6));
  job.parent = row.natural(7);
  if (!row.is_null(8)) job.index = static_cast<std::uint32_t>(row.natural(8));
  if (!row.is_null(9)) job.waits_until = Time{Duration{row.integer(9)}};
  if (!row.is_null(10)) job.expires_at = Time{Duration{row.integer(10)}};
  job.priority = static_cast<std::int32_t>(row.integer(11));
  job.daemon = row.integer(12) != 0;
  if (!row.is_null(13)) job.group = row.bytes(13);
  if (!row.is_null(17)) job.pool = row.bytes(17);
  job.limited = row.integer(18) != 0;
  if (!job.has_started() && !job.limited) return job;
  job.spec = catalogue.spec_of(row, 14, 16);
  if (!row.is_null(15)) job.item = std::make_shared<const json::Raw>(json::Raw{std::string(row.bytes(15))});
  return job;
}

std::vector<StoredPool> stored_pools(Connection& connection, const SqlCatalogue& catalogue) {
  std::vector<StoredPool> pools;
  json::Parser parser;
  Statement rows = connection.prepare("SELECT uid, body, name FROM pool ORDER BY name");
  while (rows.step()) {
    try {
      auto spec = json::decode<PoolSpec>(parser.parse_copy(rows.bytes(1)));
      pools.push_back({std::make_shared<const PoolSpec>(std::move(spec)), catalogue.user_of(rows.integer(0))});
    } catch (const Error& error) {
      throw StoreFailure("the pool " + std::string(rows.bytes(2)) + " is not readable: " + error.message());
    }
  }
  return pools;
}

std::vector<core::KeyedSubmit> stored_keys(Connection& connection) {
  std::vector<core::KeyedSubmit> keys;
  Statement rows = connection.prepare("SELECT first, count, uid, word, payload, label FROM key");
  Statement purged = connection.prepare(
      "SELECT max(first, ?1), min(last, ?2) FROM purged WHERE first <= ?2 "
      "AND first >= coalesce((SELECT max(first) FROM purged WHERE first <= ?1), ?1) AND last >= ?1");
  while (rows.step()) {
    core::KeyedSubmit key{.uid = static_cast<std::uint32_t>(rows.natural(2)),
                          .key = {std::string(rows.bytes(3)), std::string(rows.bytes(4)), std::string(rows.bytes(5))},
                          .first = rows.natural(0),
                          .count = rows.natural(1)};
    const ResetAtEnd reset(purged);
    purged.bind(1, key.first).bind(2, key.first + key.count - 1);
    while (purged.step()) key.gone.emplace_back(purged.natural(0), purged.natural(1));
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace

std::unique_ptr<Connection> open_database(const std::string& path, const std::string& vfs) {
  const auto slash = path.find_last_of('/');
  refuse_network_file_system(slash == std::string::npos ? "." : path.substr(0, slash + 1));
  if (!look_at_file(path)) make_file(path);
  auto connection = std::make_unique<Connection>(path, vfs);
  settle_before_reading(*connection);
  check_database(*connection, path);
  return connection;
}

void begin_epoch(Connection& connection) {
  Statement mode = connection.prepare("PRAGMA journal_mode=WAL");
  if (!mode.step() || mode.bytes(0) != "wal") throw StoreFailure("the file system cannot hold a write-ahead log");
  mode.reset();
  connection.run("BEGIN IMMEDIATE");
  migrate(connection);
  connection.run("UPDATE state SET epoch = epoch + 1");
}

Recovered read_recovered(Connection& connection, const SqlCatalogue& catalogue) {
  Recovered recovered;
  {
    Statement state = connection.prepare("SELECT ids, seqs, epoch, jobs FROM state");
    if (!state.step()) throw StoreFailure("the table of counts is empty");
    recovered.next_id = state.natural(0);
    recovered.next_seq = state.natural(1);
    recovered.epoch = static_cast<std::uint32_t>(state.natural(2));
    recovered.jobs.reserve(state.natural(3));
  }
  Statement rows = connection.prepare(
      "SELECT id, attempt, cancelled, submitted_at, executor, lane, uid, parent, place, waits_until, expires_at, "
      "priority, daemon, label, spec, item, body, pool, limited FROM job ORDER BY id");
  while (rows.step()) recovered.jobs.push_back(stored_job(rows, catalogue));
  recovered.keys = stored_keys(connection);
  read_toolbox(connection, recovered);
  recovered.pools = stored_pools(connection, catalogue);
  return recovered;
}

}  // namespace stint::db
