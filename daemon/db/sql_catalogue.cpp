#include "daemon/db/sql_catalogue.hpp"

#include <algorithm>
#include <iterator>

#include "common/limits.hpp"
#include "daemon/db/end_report_codec.hpp"

namespace stint::db {
namespace {

constexpr std::string_view columns =
    "SELECT seq, id, attempt, outcome, finished_at, uid, place, spec, item, body, record, ending FROM finished ";
enum Column { c_seq, c_id, c_attempt, c_outcome, c_finished_at, c_uid, c_place, c_spec, c_item, c_body, c_record, c_ending };

std::string select(std::string_view rest) { return std::string(columns).append(rest); }

std::string select_aged(std::string_view rest) {
  return std::string("SELECT seq, id, finished_at, kept_bytes FROM finished ").append(rest);
}

Seq by_seq(const Aged& job) { return job.seq; }

Outcome outcome_of(const Statement& row, int column, JobId id) {
  const std::uint64_t outcome = row.natural(column);
  if (outcome < json::EnumNames<Outcome>::names.size()) return static_cast<Outcome>(outcome);
  throw StoreFailure("the outcome of job " + std::to_string(id) + " is none that this version knows");
}

/// What a finished job holds in memory, about.
std::size_t bytes_of(const core::FinishedJob& job) {
  std::size_t bytes = job.record.size();
  if (job.end.stdout_content) bytes += job.end.stdout_content->bytes.size();
  if (job.end.stderr_content) bytes += job.end.stderr_content->bytes.size();
  if (const auto* const returned = std::get_if<EndReport::Returned>(&job.end.ending)) bytes += returned->result.text.size();
  if (job.item) bytes += job.item->text.size();
  return bytes;
}

/// Both lists in one order, cut to `limit`.
template <class T, class Key>
std::vector<T> merged(std::vector<T> left, std::vector<T> right, std::size_t limit, Key key) {
  if (right.empty()) return left;
  std::vector<T> all;
  all.reserve(left.size() + right.size());
  std::merge(std::make_move_iterator(left.begin()), std::make_move_iterator(left.end()), std::make_move_iterator(right.begin()),
             std::make_move_iterator(right.end()), std::back_inserter(all),
             [&key](const T& a, const T& b) { return key(a) < key(b); });
  if (all.size() > limit) all.resize(limit);
  return all;
}

}  // namespace

SqlCatalogue::SqlCatalogue(Connection& connection)
    : by_id_(connection.prepare(select("WHERE id = ?1"))),
      load_unfinished_(connection.prepare("SELECT spec, item, body FROM job WHERE id = ?1")),
      load_finished_(connection.prepare("SELECT spec, item, body FROM finished WHERE id = ?1")),
      attempt_(connection.prepare(
          "SELECT outcome, ended_at, again_at, ending, kept_bytes FROM attempt WHERE job = ?1 AND attempt = ?2 LIMIT 1")),
      by_seq_(connection.prepare(select("WHERE seq > ?1 ORDER BY seq LIMIT ?2"))),
      by_user_(connection.prepare(select("WHERE uid = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2"))),
      by_label_(connection.prepare(select("WHERE label = ?4 AND seq > ?1 AND (?3 IS NULL OR uid = ?3) ORDER BY seq LIMIT ?2"))),
      by_id_range_(connection.prepare(select("WHERE id > ?1 AND id <= ?3 ORDER BY id LIMIT ?2"))),
      oldest_(connection.prepare(select_aged("WHERE seq > ?2 ORDER BY seq LIMIT ?1"))),
      oldest_plain_(connection.prepare(select_aged("WHERE keep_until IS NULL AND seq > ?2 ORDER BY seq LIMIT ?1"))),
      past_own_(
          connection.prepare(select_aged("INDEXED BY finished_keep WHERE keep_until < ?2 AND seq > ?3 ORDER BY seq LIMIT ?1"))),
      next_own_(connection.prepare("SELECT min(keep_until) FROM finished INDEXED BY finished_keep WHERE keep_until >= ?1")),
      purged_(connection.prepare("SELECT last FROM purged WHERE first <= ?1 ORDER BY first DESC LIMIT 1")),
      spec_(connection.prepare("SELECT body, marker FROM spec WHERE id = ?1")),
      user_(connection.prepare("SELECT name FROM account WHERE uid = ?1")),
      label_(connection.prepare("SELECT id FROM label WHERE name = ?1")),
      floor_(static_cast<Seq>(connection.ask("SELECT max(seq) FROM finished"))),
      newest_(floor_) {
  totals_.jobs = static_cast<std::uint64_t>(connection.ask("SELECT finished_jobs FROM state"));
  totals_.output_bytes = static_cast<std::uint64_t>(connection.ask("SELECT kept_bytes FROM state"));
}

// ---- questions

Found SqlCatalogue::get(JobId id) const {
  if (Found hot = hot_.get(id); hot.presence == Presence::found) return hot;
  if (Found other = transient_.get(id); other.presence != Presence::never_existed) return other;
  if (id > limits::id_max) return {};
  {
    const ResetAtEnd reset(by_id_);
    if (by_id_.bind(1, id).step()) return {Presence::found, decode(by_id_)};
  }
  const ResetAtEnd reset(purged_);
  if (purged_.bind(1, id).step() && purged_.natural(0) >= id) return {Presence::purged, nullptr};
  return {};
}

core::LoadedSpec SqlCatalogue::load(JobId id) const {
  core::LoadedSpec loaded{id, nullptr, nullptr};
  for (Statement* const query : {&load_unfinished_, &load_finished_}) {
    const ResetAtEnd reset(*query);
    if (!query->bind(1, id).step()) continue;
    loaded.spec = spec_of(*query, 0, 2);
    if (!query->is_null(1)) loaded.item = std::make_shared<const json::Raw>(json::Raw{std::string(query->bytes(1))});
    return loaded;
  }
  return transient_.load(id);
}

core::EndedPtr SqlCatalogue::attempt(JobId id, Attempt attempt) const {
  if (auto transient = transient_.attempt(id, attempt)) return transient;
  const ResetAtEnd reset(attempt_);
  if (id > limits::id_max || !attempt_.bind(1, id).bind(2, std::int64_t{attempt}).step()) return nullptr;
  auto ended = std::make_shared<core::EndedAttempt>();
  ended->id = id;
  ended->attempt = attempt;
  ended->outcome = outcome_of(attempt_, 0, id);
  ended->ended_at = Time{Duration{attempt_.integer(1)}};
  ended->again_at = Time{Duration{attempt_.integer(2)}};
  ended->end = decode_end(attempt_.bytes(3), ended->ended_at);
  ended->kept_bytes = attempt_.natural(4);
  return ended;
}

std::vector<core::FinishedPtr> SqlCatalogue::results(const ResultsQuery& query) const {
  if (query.limit == 0) return {};
  return merged(query.since >= floor_ ? hot_.results(query) : stored_results(query), transient_.results(query), query.limit,
                [](const core::FinishedPtr& job) { return job->seq; });
}

std::vector<core::FinishedPtr> SqlCatalogue::stored_results(const ResultsQuery& query) const {
  const auto limit = static_cast<std::int64_t>(query.limit);
  if (query.group) {
    const auto label = label_row(*query.group);
    if (!label) return {};
    by_label_.bind(1, query.since).bind(2, limit).bind_optional(3, query.uid).bind(4, *label);
    return read_page(by_label_, query.limit);
  }
  Statement& statement = query.uid ? by_user_ : by_seq_;
  statement.bind(1, query.since).bind(2, limit);
  if (query.uid) statement.bind(3, std::int64_t{*query.uid});
  return read_page(statement, query.limit);
}

std::vector<core::FinishedPtr> SqlCatalogue::list(const ListQuery& query) const {
  if (query.limit == 0 || query.after >= limits::id_max) return {};
  by_id_range_.bind(1, query.after)
      .bind(2, static_cast<std::int64_t>(query.limit))
      .bind(3, std::min(query.up_to, limits::id_max));
  return merged(read_page(by_id_range_, query.limit), transient_.list(query), query.limit,
                [](const core::FinishedPtr& job) { return job->id; });
}

std::vector<JobId> SqlCatalogue::ended_before(Time time, std::size_t limit) const {
  if (limit == 0) return {};
  oldest_.bind(1, static_cast<std::int64_t>(limit)).bind(2, Seq{0});
  return those_before(merged(read_aged(oldest_), transient_.oldest(limit), limit, by_seq), time);
}

Overdue SqlCatalogue::overdue(const Retention& retention, Time now, const PassedOver& passed, std::size_t limit) const {
  if (limit == 0) return {};
  const KeptTotals totals = without(plus(totals_, transient_.totals()), passed.kept);
  const bool too_much = exceeds(totals, retention);
  const auto rows = static_cast<std::int64_t>(limit);
  Oldest oldest = transient_.oldest_of_each(retention, now, passed.seq, too_much, limit);
  past_own_.bind(1, rows).bind(2, now.time_since_epoch().count()).bind(3, passed.seq);
  oldest.own = merged(read_aged(past_own_), std::move(oldest.own), limit, by_seq);
  if (too_much) {
    oldest_.bind(1, rows).bind(2, passed.seq);
    oldest.all = merged(read_aged(oldest_), std::move(oldest.all), limit, by_seq);
  }
  read_plain(oldest, retention, now, passed.seq, limit);
  const ResetAtEnd reset(next_own_);
  if (next_own_.bind(1, now.time_since_epoch().count()).step() && !next_own_.is_null(0)) {
    oldest.next = earlier(oldest.next, Time{Duration{next_own_.integer(0)}});
  }
  return those_overdue(oldest, totals, retention, limit);
}

void SqlCatalogue::read_plain(Oldest& oldest, const Retention& retention, Time now, Seq after, std::size_t limit) const {
  const ResetAtEnd reset(oldest_plain_);
  oldest_plain_.bind(1, static_cast<std::int64_t>(limit)).bind(2, std::max(after, all_keep_));
  std::vector<Aged> plain;
  Seq before_first = newest_;
  while (oldest_plain_.step()) {
    const Aged job = aged(oldest_plain_);
    before_first = std::min(before_first, job.seq - 1);
    if (job.finished_at + retention.age >= now) {
      oldest.next = earlier(oldest.next, job.finished_at + retention.age);
      break;
    }
    plain.push_back(job);
  }
  if (after <= all_keep_) all_keep_ = before_first;
  oldest.plain = merged(std::move(plain), std::move(oldest.plain), limit, by_seq);
}

Aged SqlCatalogue::aged(const Statement& row) {
  return {row.natural(0), row.natural(1), Time{Duration{row.integer(2)}}, row.natural(3)};
}

std::vector<Aged> SqlCatalogue::read_aged(Statement& query) {
  const ResetAtEnd reset(query);
  std::vector<Aged> jobs;
  while (query.step()) jobs.push_back(aged(query));
  return jobs;
}

bool SqlCatalogue::knows_group(const std::string& group) const {
  return transient_.knows_group(group) || label_row(group).has_value();
}

// ---- rows

std::vector<core::FinishedPtr> SqlCatalogue::read_page(Statement& query, std::size_t limit) const {
  const ResetAtEnd reset(query);
  std::vector<core::FinishedPtr> page;
  page.reserve(std::min<std::size_t>(limit, 256));
  while (query.step()) {
    Found hot = hot_.get(query.natural(c_id));
    page.push_back(hot.job ? std::move(hot.job) : decode(query));
  }
  return page;
}

core::FinishedPtr SqlCatalogue::decode(const Statement& row) const {
  auto job = std::make_shared<core::FinishedJob>();
  job->seq = row.natural(c_seq);
  job->id = row.natural(c_id);
  job->attempt = static_cast<Attempt>(row.natural(c_attempt));
  job->outcome = outcome_of(row, c_outcome, job->id);
  job->finished_at = Time{Duration{row.integer(c_finished_at)}};
  if (!row.is_null(c_uid)) job->user = user_of(row.integer(c_uid));
  if (!row.is_null(c_place)) job->index = static_cast<std::uint32_t>(row.natural(c_place));
  job->spec = spec_of(row, c_spec, c_body);
  if (!row.is_null(c_item)) job->item = std::make_shared<const json::Raw>(json::Raw{std::string(row.bytes(c_item))});
  job->record = row.bytes(c_record);
  job->end = decode_end(row.bytes(c_ending), job->finished_at);
  return job;
}

std::shared_ptr<const JobSpec> SqlCatalogue::spec_of(const Statement& row, int spec_column, int body_column) const {
  if (row.is_null(spec_column)) return specs_.read(row.bytes(body_column));
  const std::int64_t number = row.integer(spec_column);
  if (auto known = specs_.find(number)) return known;
  const ResetAtEnd reset(spec_);
  if (!spec_.bind(1, number).step()) throw StoreFailure("a specification that jobs refer to is not there");
  auto spec = specs_.decode(spec_.bytes(0));
  spec->item_marker = spec_.bytes(1);
  return specs_.put(number, std::move(spec));
}

std::shared_ptr<const core::User> SqlCatalogue::user_of(std::int64_t uid) const {
  if (const auto known = users_.find(uid); known != users_.end()) return known->second;
  const ResetAtEnd reset(user_);
  if (!user_.bind(1, uid).step()) throw StoreFailure("the name of user " + std::to_string(uid) + " is not there");
  auto user = std::make_shared<const core::User>(core::User{static_cast<std::uint32_t>(uid), std::string(user_.bytes(0))});
  users_.emplace(uid, user);
  return user;
}

bool SqlCatalogue::knows_user(const core::User& user) const {
  const auto known = users_.find(user.uid);
  return known != users_.end() && known->second->name == user.name;
}

std::optional<std::int64_t> SqlCatalogue::label_row(const std::string& name) const {
  const ResetAtEnd reset(label_);
  if (!label_.bind_text(1, name).step()) return std::nullopt;
  return label_.integer(0);
}

// ---- what the writer tells

bool SqlCatalogue::forget_transient(JobId id) {
  transient_.forget(id);
  return transient_.get(id).presence == Presence::purged;
}

void SqlCatalogue::finished(core::FinishedPtr job, std::uint64_t kept_bytes) {
  ++totals_.jobs;
  totals_.output_bytes += kept_bytes;
  if (!job->spec->keep) all_keep_ = std::min(all_keep_, job->seq - 1);
  if (job->seq <= newest_) {
    // Out of order, or once more after a rollback: it is looked for on disk, and so is all before it.
    if (job->seq > floor_) cool();
    return;
  }
  newest_ = job->seq;
  hot_order_.push_back({job->id, bytes_of(*job)});
  hot_bytes_ += hot_order_.back().bytes;
  hot_.add(std::move(job));
  trim_hot();
}

void SqlCatalogue::trim_hot() {
  while (hot_order_.size() > hot_jobs_max || hot_bytes_ > hot_bytes_max) {
    const Hot oldest = hot_order_.front();
    hot_order_.pop_front();
    hot_bytes_ -= oldest.bytes;
    if (const auto job = hot_.evict(oldest.id)) floor_ = job->seq;
  }
}

void SqlCatalogue::forgotten(JobId id, std::uint64_t kept_bytes) {
  --totals_.jobs;
  totals_.output_bytes -= kept_bytes;
  hot_.evict(id);
}

void SqlCatalogue::rolled_back(KeptTotals totals) {
  totals_ = totals;
  all_keep_ = 0;
  cool();
  users_.clear();
  specs_.forget_rows();
}

void SqlCatalogue::cool() {
  floor_ = newest_;
  hot_ = FinishedIndex();
  hot_order_.clear();
  hot_bytes_ = 0;
}

}  // namespace stint::db
