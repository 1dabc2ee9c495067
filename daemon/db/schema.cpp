// The steps of schema.hpp. What the columns mean:
//
//   state     one row. epoch: of the newest daemon. ids, seqs: all below are given away or reserved. jobs: rows of
//             `job`. finished_jobs, kept_bytes: totals of `finished`, for retention.
//   account   users by uid; the name is the newest one.
//   spec      specifications that several jobs share (`uses` rows of job and finished) or that are long; others lie in
//             `body` of their job. JSON as in job.submit; `marker` is JobSpec::item_marker.
//   job       unfinished jobs. attempt: of the newest start, 0 where never started. waits_until: not before this; where it
//             has started, its newest attempt has ended. priority, daemon, label (its group) are those of the specification,
//             so that a start need not read it.
//   attempt   attempts of job and finished that were not the last; kept_bytes: of their output, counted in that of finished.
//   finished  what anybody may still ask; `ending` is an EndReport (end_report_codec.hpp). keep_until: where the job itself
//             says how long, NULL where retention.age counts. Indexes on the user are made when
//             there is a second one (fact_writer.cpp).
//   label     groups that have, or had, a finished member.
//   purged    ranges of ids whose records are gone.
//   pool      pools that last; body is JSON as in pool.set.
//   key       idempotency keys; payload is a digest of what was asked. Each goes with the last row, of job or
//             finished, of its `count` jobs.
//   channel   durable ones; channel_item: what lies in them, the smallest position at the head.
//   event     named events that are set.
//   semaphore sizes. lease: permits that somebody holds; job: 0 where that is a connection. lease_number: the next one.
//
// Times are microseconds since the epoch.
#include "daemon/db/schema.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/unique_fd.hpp"
#include "daemon/core/effects.hpp"

namespace stint::db {
namespace {

static_assert(static_cast<int>(core::Lane::program) == 0 && static_cast<int>(core::Lane::host) == 1 &&
                  static_cast<int>(core::Lane::thread) == 2 && static_cast<int>(core::Lane::coroutine) == 3 &&
                  static_cast<int>(core::Lane::pool) == 4 && core::lane_count == 5,
              "lanes stand in job.lane: new ones go behind the others");
static_assert(static_cast<int>(ExecutorKind::process) == 0 && static_cast<int>(ExecutorKind::thread) == 1 &&
                  static_cast<int>(ExecutorKind::coroutine) == 2 && static_cast<int>(ExecutorKind::cluster) == 3,
              "executors stand in job.executor: new ones go behind the others");
static_assert(static_cast<int>(Outcome::succeeded) == 0 && static_cast<int>(Outcome::failed) == 1 &&
                  static_cast<int>(Outcome::cancelled) == 2 && static_cast<int>(Outcome::timed_out) == 3 &&
                  static_cast<int>(Outcome::lost) == 4 && static_cast<int>(Outcome::expired) == 5 &&
                  static_cast<int>(Outcome::skipped) == 6,
              "outcomes stand in finished.outcome: new ones go behind the others");

/// Step n leads from version n to n + 1.
constexpr std::array steps{
    R"(CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), epoch INTEGER NOT NULL, ids INTEGER NOT NULL,
         seqs INTEGER NOT NULL, jobs INTEGER NOT NULL, finished_jobs INTEGER NOT NULL, kept_bytes INTEGER NOT NULL) STRICT;
       INSERT INTO state VALUES(1, 0, 1, 1, 0, 0, 0);
       CREATE TABLE account(uid INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
       CREATE TABLE spec(id INTEGER PRIMARY KEY, uses INTEGER NOT NULL, marker TEXT NOT NULL, body TEXT NOT NULL) STRICT;
       CREATE TABLE job(id INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, cancelled INTEGER NOT NULL,
         submitted_at INTEGER NOT NULL, executor INTEGER NOT NULL, lane INTEGER NOT NULL, uid INTEGER, parent INTEGER,
         place INTEGER, spec INTEGER, item TEXT, body TEXT) STRICT;
       CREATE TABLE finished(seq INTEGER PRIMARY KEY, id INTEGER NOT NULL, attempt INTEGER NOT NULL, outcome INTEGER NOT NULL,
         finished_at INTEGER NOT NULL, kept_bytes INTEGER NOT NULL, label INTEGER, uid INTEGER, place INTEGER, spec INTEGER,
         item TEXT, body TEXT, record TEXT NOT NULL, ending BLOB NOT NULL) STRICT;
       CREATE UNIQUE INDEX finished_id ON finished(id);
       CREATE INDEX finished_label ON finished(label, seq) WHERE label IS NOT NULL;
       CREATE TABLE label(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
       CREATE TABLE purged(first INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;)",
    R"(CREATE TABLE key(first INTEGER PRIMARY KEY, count INTEGER NOT NULL, uid INTEGER NOT NULL, word TEXT NOT NULL,
         payload BLOB NOT NULL, label TEXT NOT NULL) STRICT;)",
    R"(CREATE TABLE channel(id INTEGER PRIMARY KEY, name TEXT NOT NULL, capacity INTEGER NOT NULL,
         closed INTEGER NOT NULL) STRICT;
       CREATE TABLE channel_item(channel INTEGER NOT NULL, position INTEGER NOT NULL, item TEXT NOT NULL,
         PRIMARY KEY(channel, position)) STRICT, WITHOUT ROWID;
       CREATE TABLE event(name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;)",
    R"(CREATE TABLE job_anew(id INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, cancelled INTEGER NOT NULL,
         submitted_at INTEGER NOT NULL, executor INTEGER NOT NULL, lane INTEGER NOT NULL, uid INTEGER, parent INTEGER,
         place INTEGER, priority INTEGER NOT NULL, daemon INTEGER NOT NULL, waits_until INTEGER, expires_at INTEGER, label TEXT,
         spec INTEGER, item TEXT, body TEXT) STRICT;
       INSERT INTO job_anew SELECT id, attempt, cancelled, submitted_at, executor, lane, uid, parent, place,
         coalesce(json_extract(text, '$.priority'), 0), coalesce(json_extract(text, '$.daemon'), 0), NULL, NULL,
         json_extract(text, '$.group'), spec, item, body
         FROM (SELECT job.*, coalesce(body, (SELECT spec.body FROM spec WHERE spec.id = job.spec)) AS text FROM job);
       DROP TABLE job;
       ALTER TABLE job_anew RENAME TO job;
       CREATE TABLE attempt(job INTEGER NOT NULL, attempt INTEGER NOT NULL, outcome INTEGER NOT NULL, ended_at INTEGER NOT NULL,
         again_at INTEGER NOT NULL, ending BLOB NOT NULL) STRICT;
       CREATE INDEX attempt_job ON attempt(job, attempt);
       ALTER TABLE finished ADD COLUMN keep_until INTEGER;
       CREATE INDEX finished_keep ON finished(keep_until) WHERE keep_until IS NOT NULL;)",
    R"(CREATE TABLE pool(name TEXT PRIMARY KEY, uid INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
       ALTER TABLE job ADD COLUMN pool TEXT;)",
    R"(CREATE TABLE semaphore(name TEXT PRIMARY KEY, permits INTEGER NOT NULL) STRICT, WITHOUT ROWID;
       ALTER TABLE job ADD COLUMN limited INTEGER NOT NULL DEFAULT 0;
       CREATE TABLE lease(id INTEGER PRIMARY KEY, is_lock INTEGER NOT NULL, name TEXT NOT NULL, permits INTEGER NOT NULL,
         job INTEGER NOT NULL, owner TEXT NOT NULL) STRICT;
       CREATE TABLE lease_number(next INTEGER NOT NULL) STRICT;
       INSERT INTO lease_number VALUES(1);)",
    "ALTER TABLE attempt ADD COLUMN kept_bytes INTEGER NOT NULL DEFAULT 0;",
};

/// Files up to this size are checked whole at each start; of larger ones all that a start reads.
constexpr std::int64_t checked_bytes_max = 16 << 20;

std::string what_to_do(const std::string& path) {
  return ". Nothing was changed. Move " + path + " and " + path +
         "-wal away to start with an empty store, or put a good copy there";
}

/// Of a report that may open with a line that only names the database: one line, so that the message stays one.
std::string first_defect(std::string_view report) {
  if (report.starts_with("***")) report.remove_prefix(std::min(report.find('\n'), report.size() - 1) + 1);
  return std::string(report.substr(0, report.find('\n')));
}

struct Looked {
  std::int64_t size = 0;  ///< 0 where there is no such file
  std::string start;      ///< its first bytes
};

/// At a file of the store `store`. Throws where it is none that can be read and written.
Looked look(const std::string& store, const std::string& path, std::size_t bytes) {
  const std::string part = path == store ? "" : "cannot be used: its log " + path + " ";
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    throw unavailable("the store " + path + " cannot be reached: " + std::strerror(errno), "no access");
  }
  if (!S_ISREG(status.st_mode)) throw unreadable_store(store, part + "is not a regular file");
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  std::string start(bytes, '\0');
  const auto got = file ? ::pread(file.get(), start.data(), start.size(), 0) : -1;
  if (got < 0) {
    throw unavailable("the store " + store + " " + part + "cannot be read and written: " + std::strerror(errno) +
                          ". Nothing was changed. Give uid " + std::to_string(::geteuid()) +
                          " access to it, or choose another state directory (--state-dir)",
                      "no access");
  }
  start.resize(static_cast<std::size_t>(got));
  return {status.st_size, std::move(start)};
}

/// The first bytes of a log (https://sqlite.org/fileformat2.html#walformat): a torn end leaves these as they were, and a log that
/// was only lengthened has zeros. SQLite itself takes anything else for an empty log.
constexpr std::size_t log_magic_bytes = 4;
bool begins_a_log(std::string_view start) {
  constexpr std::array<std::string_view, 3> beginnings{"\x37\x7f\x06\x82", "\x37\x7f\x06\x83", std::string_view("\0\0\0\0", 4)};
  return std::ranges::any_of(beginnings, [start](std::string_view each) { return each.starts_with(start); });
}

std::int64_t size_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_size : 0;
}

}  // namespace

Error unreadable_store(const std::string& path, const std::string& what) {
  return unavailable("the store " + path + " " + what + what_to_do(path), what);
}

std::int64_t schema_version() { return static_cast<std::int64_t>(steps.size()); }

bool look_at_file(const std::string& path) {
  constexpr std::string_view magic("SQLite format 3\0", 16);
  const std::string log_path = path + "-wal";
  const Looked database = look(path, path, magic.size());
  const Looked log = look(path, log_path, log_magic_bytes);
  if (database.size > 0 && database.start != magic) throw unreadable_store(path, "is not a database");
  if (database.size == 0 && log.size > 0) throw unreadable_store(path, "is missing, but its log " + log_path + " is there");
  if (!begins_a_log(log.start)) throw unreadable_store(path, "is damaged: its log " + log_path + " is not one");
  return database.size > 0;
}

void check_database(Connection& connection, const std::string& path) {
  const std::int64_t version = connection.ask("PRAGMA user_version");
  const std::int64_t owner = connection.ask("PRAGMA application_id");
  // A file that was made but not yet filled when its maker died.
  const bool blank = version == 0 && owner == 0 && connection.ask("SELECT count(*) FROM sqlite_schema") == 0;
  if (blank) return;
  if (owner != application_id) throw unreadable_store(path, "belongs to another program");
  if (version > schema_version()) {
    throw unavailable("the store " + path + " was written by a newer stint (layout " + std::to_string(version) +
                          ", this one knows " + std::to_string(schema_version()) + ")" + what_to_do(path) +
                          ", or start that version again",
                      "written by a newer version");
  }
  if (version < 1) throw unreadable_store(path, "is damaged: it has no version");
  if (size_of(path) + size_of(path + "-wal") > checked_bytes_max) return;
  Statement check = connection.prepare("PRAGMA quick_check(1)");
  if (!check.step() || check.bytes(0) != "ok") {
    throw unreadable_store(path, "is damaged: " + first_defect(check.bytes(0)));
  }
}

void migrate(Connection& connection) {
  const std::int64_t from = connection.ask("PRAGMA user_version");
  for (auto step = static_cast<std::size_t>(from); step < steps.size(); ++step) connection.run(steps.at(step));
  if (from == schema_version()) return;
  connection.run("PRAGMA application_id=" + std::to_string(application_id));
  connection.run("PRAGMA user_version=" + std::to_string(schema_version()));
}

}  // namespace stint::db
