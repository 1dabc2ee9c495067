#include "daemon/db/fact_writer.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "daemon/db/end_report_codec.hpp"

namespace stint::db {
namespace {

constexpr std::size_t label_rows_max = 1'024;

std::int64_t micros(Time time) { return time.time_since_epoch().count(); }

/// Those of a submit's jobs that start in the same Persist are inserted as started.
std::vector<Attempt> attempts_of(const core::SubmitFact& submit, const std::vector<core::Fact>& facts) {
  std::vector<Attempt> attempts(submit.jobs.size(), 0);
  for (const auto& fact : facts) {
    const auto* const start = std::get_if<core::StartFact>(&fact);
    if (start != nullptr && start->id - submit.first < attempts.size()) attempts[start->id - submit.first] = start->attempt;
  }
  return attempts;
}

bool is_of(JobId id, const core::SubmitFact* submit) { return submit != nullptr && id - submit->first < submit->jobs.size(); }

}  // namespace

FactWriter::FactWriter(Connection& connection, SqlCatalogue& catalogue, std::int64_t groups_max, std::string output_folder)
    : connection_(connection),
      catalogue_(catalogue),
      toolbox_(connection),
      outputs_(std::move(output_folder)),
      groups_max_(groups_max),
      labels_trim_at_(groups_max),
      begin_(connection.prepare("BEGIN IMMEDIATE")),
      commit_(connection.prepare("COMMIT")),
      insert_job_(connection.prepare("INSERT INTO job(id, attempt, cancelled, submitted_at, executor, lane, uid, parent, place, "
                                     "spec, item, body, priority, daemon, label, waits_until, expires_at, pool, limited) "
                                     "VALUES(?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, "
                                     "?18)")),
      insert_spec_(connection.prepare("INSERT INTO spec(uses, marker, body) VALUES(1, ?1, ?2)")),
      add_spec_uses_(connection.prepare("UPDATE spec SET uses = uses + ?2 WHERE id = ?1")),
      drop_spec_use_(connection.prepare("UPDATE spec SET uses = uses - 1 WHERE id = ?1")),
      delete_spec_(connection.prepare("DELETE FROM spec WHERE id = ?1 AND uses <= 0")),
      insert_user_(connection.prepare("INSERT INTO account(uid, name) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET name = ?2")),
      start_(connection.prepare("UPDATE job SET attempt = ?2, waits_until = NULL WHERE id = ?1")),
      retry_(connection.prepare("UPDATE job SET attempt = ?2, waits_until = ?3 WHERE id = ?1")),
      insert_attempt_(connection.prepare("INSERT INTO attempt(job, attempt, outcome, ended_at, again_at, ending, kept_bytes) "
                                         "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")),
      earlier_bytes_(connection.prepare("SELECT coalesce(sum(kept_bytes), 0) FROM attempt WHERE job = ?1")),
      cancel_(connection.prepare("UPDATE job SET cancelled = 1 WHERE id = ?1")),
      finish_(
          connection.prepare("INSERT INTO finished(seq, id, attempt, outcome, finished_at, kept_bytes, label, uid, place, spec, "
                             "item, body, record, ending, keep_until) SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, uid, place, spec, "
                             "item, body, ?8, ?9, ?10 FROM job WHERE id = ?2")),
      delete_job_(connection.prepare("DELETE FROM job WHERE id = ?1")),
      insert_label_(connection.prepare("INSERT INTO label(name) VALUES(?1)")),
      trim_labels_(
          connection.prepare("DELETE FROM label WHERE id IN (SELECT id FROM label WHERE id < (SELECT max(id) FROM label) "
                             "AND NOT EXISTS (SELECT 1 FROM finished WHERE finished.label = label.id) ORDER BY id LIMIT ?1)")),
      forget_(connection.prepare("DELETE FROM finished WHERE id = ?1 RETURNING kept_bytes, spec")),
      purged_around_(connection.prepare("SELECT first, last FROM purged WHERE first <= ?1 ORDER BY first DESC LIMIT 1")),
      delete_purged_(connection.prepare("DELETE FROM purged WHERE first BETWEEN ?1 AND ?2")),
      insert_purged_(connection.prepare("INSERT INTO purged(first, last) VALUES(?1, ?2)")),
      insert_key_(connection.prepare("INSERT INTO key(first, count, uid, word, payload, label) VALUES(?1, ?2, ?3, ?4, ?5, ?6)")),
      delete_key_(connection.prepare(
          "DELETE FROM key WHERE first = (SELECT max(first) FROM key WHERE first <= ?1) AND first + count > ?1 "
          "AND NOT EXISTS (SELECT 1 FROM job WHERE id BETWEEN first AND first + count - 1) "
          "AND NOT EXISTS (SELECT 1 FROM finished INDEXED BY finished_id WHERE id BETWEEN first AND first + count - 1)")),
      delete_attempts_(connection.prepare("DELETE FROM attempt WHERE job = ?1")),
      put_pool_(connection.prepare("INSERT OR REPLACE INTO pool(name, uid, body) VALUES(?1, ?2, ?3)")),
      delete_pool_(connection.prepare("DELETE FROM pool WHERE name = ?1")),
      update_state_(connection.prepare("UPDATE state SET ids = ?1, seqs = ?2, jobs = ?3, finished_jobs = ?4, kept_bytes = ?5")) {
  read_state();
}

void FactWriter::read_state() {
  Statement read = connection_.prepare("SELECT ids, seqs, jobs, finished_jobs, kept_bytes FROM state");
  if (!read.step()) throw StoreFailure("the table of counts is empty");
  state_ = stored_state_ = {read.natural(0), read.natural(1), read.natural(2)};
  stored_totals_ = {read.natural(3), read.natural(4)};
  labels_ = connection_.ask("SELECT count(*) FROM label");
}

// ---- transactions

void FactWriter::begin() {
  if (!connection_.in_transaction()) begin_.run();
}

void FactWriter::commit() {
  if (!connection_.in_transaction()) return;
  outputs_.sync();
  const KeptTotals totals = catalogue_.durable_totals();
  if (state_ != stored_state_ || totals != stored_totals_) {
    update_state_.bind(1, state_.ids).bind(2, state_.seqs).bind(3, state_.jobs);
    update_state_.bind(4, totals.jobs).bind(5, totals.output_bytes).run();
  }
  commit_.run();
  outputs_.clear();
  stored_state_ = state_;
  stored_totals_ = totals;
}

void FactWriter::roll_back() {
  if (connection_.in_transaction()) connection_.run("ROLLBACK");  // some errors have rolled it back already
  label_rows_.clear();
  outputs_.clear();
  read_state();
  catalogue_.rolled_back(stored_totals_);
}

void FactWriter::record(core::Persist& persist, bool with_new_work) {
  if (persist.number == 0) {
    for (auto& fact : persist.facts) {
      auto* const finish = std::get_if<core::FinishFact>(&fact);
      if (finish != nullptr && finish->job) catalogue_.add_transient(std::move(finish->job));
      auto* const retry = std::get_if<core::RetryFact>(&fact);
      if (retry != nullptr && retry->attempt) catalogue_.add_transient(std::move(retry->attempt));
    }
    return;
  }
  begin();
  const core::SubmitFact* newest_submit = nullptr;
  for (const auto& fact : persist.facts) {
    if (!with_new_work && core::refusable(fact)) continue;
    if (const auto* const submitted = std::get_if<core::SubmitFact>(&fact)) {
      submit(*submitted, attempts_of(*submitted, persist.facts));
      newest_submit = submitted;
    } else if (const auto* const started = std::get_if<core::StartFact>(&fact)) {
      if (!is_of(started->id, newest_submit)) start(*started);
    } else if (const auto* const retried = std::get_if<core::RetryFact>(&fact)) {
      retry(*retried->attempt);
    } else if (const auto* const cancelled = std::get_if<core::CancelFact>(&fact)) {
      cancel(*cancelled);
    } else if (const auto* const ended = std::get_if<core::FinishFact>(&fact)) {
      finish(*ended);
    } else if (const auto* const forgotten = std::get_if<core::ForgetFact>(&fact)) {
      forget(*forgotten);
    } else if (const auto* const reserved = std::get_if<core::ReserveFact>(&fact)) {
      state_.ids = std::max(state_.ids, reserved->ids);
      state_.seqs = std::max(state_.seqs, reserved->seqs);
    } else if (const auto* const pool = std::get_if<core::SetPoolFact>(&fact)) {
      set_pool(*pool);
    } else if (const auto* const removed = std::get_if<core::RemovePoolFact>(&fact)) {
      delete_pool_.bind_text(1, removed->name).run();
    } else {
      std::visit([this](const auto& other) { toolbox_.record(other); }, fact);
    }
  }
}

// ---- submit, start, cancel

void FactWriter::submit(const core::SubmitFact& fact, const std::vector<Attempt>& attempts) {
  if (fact.user) introduce(*fact.user);
  LastSpec shared;
  for (std::size_t i = 0; i < fact.jobs.size(); ++i) insert_job(fact, i, attempts[i], shared);
  settle(shared);
  if (fact.key && fact.user) {
    insert_key_.bind(1, fact.first).bind(2, std::uint64_t{fact.jobs.size()}).bind(3, std::int64_t{fact.user->uid});
    insert_key_.bind_text(4, fact.key->word).bind_blob(5, fact.key->payload).bind_text(6, fact.key->group).run();
  }
  state_.jobs += fact.jobs.size();
  state_.ids = std::max(state_.ids, fact.first + fact.jobs.size());
}

void FactWriter::insert_job(const core::SubmitFact& fact, std::size_t at, Attempt attempt, LastSpec& shared) {
  const core::SubmittedJob& job = fact.jobs[at];
  std::string_view body;
  if (shared.spec == job.spec.get()) {
    ++shared.uses;
  } else {
    settle(shared);
    shared = {};
    body = catalogue_.specs().text_of(*job.spec);
    const bool next_is_alike = at + 1 < fact.jobs.size() && fact.jobs[at + 1].spec == job.spec;
    if (next_is_alike || job.item || body.size() > inline_spec_bytes_max) {
      insert_spec_.bind_text(1, job.spec->item_marker).bind_text(2, body).run();
      shared = {job.spec.get(), connection_.newest_row(), 1};
      catalogue_.specs().put(shared.row, job.spec);
      body = {};
    }
  }
  insert_job_.bind(1, fact.first + at)
      .bind(2, std::int64_t{attempt})
      .bind(3, micros(fact.at))
      .bind(4, static_cast<std::int64_t>(job.executor))
      .bind(5, static_cast<std::int64_t>(job.lane));
  fact.user ? insert_job_.bind(6, std::int64_t{fact.user->uid}) : insert_job_.bind_null(6);
  fact.parent != 0 ? insert_job_.bind(7, fact.parent) : insert_job_.bind_null(7);
  insert_job_.bind_optional(8, job.index);
  shared.spec != nullptr ? insert_job_.bind(9, shared.row).bind_null(11) : insert_job_.bind_null(9).bind_text(11, body);
  job.item ? insert_job_.bind_text(10, job.item->text) : insert_job_.bind_null(10);
  insert_job_.bind(12, std::int64_t{job.spec->priority}).bind(13, std::int64_t{job.spec->daemon ? 1 : 0});
  job.spec->group ? insert_job_.bind_text(14, *job.spec->group) : insert_job_.bind_null(14);
  job.not_before&& attempt == 0 ? insert_job_.bind(15, micros(*job.not_before)) : insert_job_.bind_null(15);
  job.expires_at ? insert_job_.bind(16, micros(*job.expires_at)) : insert_job_.bind_null(16);
  job.spec->pool ? insert_job_.bind_text(17, *job.spec->pool) : insert_job_.bind_null(17);
  insert_job_.bind(18, std::int64_t{job.spec->needs_permits() ? 1 : 0});
  insert_job_.run();
}

void FactWriter::settle(const LastSpec& shared) {
  if (shared.uses > 1) add_spec_uses_.bind(1, shared.row).bind(2, shared.uses - 1).run();
}

// While there is one user, the jobs of that user are all jobs, and an index on it would cost each of them for nothing.
void FactWriter::introduce(const core::User& user) {
  if (catalogue_.knows_user(user)) return;
  insert_user_.bind(1, std::int64_t{user.uid}).bind_text(2, user.name).run();
  catalogue_.remember_user(std::make_shared<const core::User>(user));
  if (connection_.ask("SELECT count(*) FROM (SELECT 1 FROM account LIMIT 2)") > 1) {
    connection_.run("CREATE INDEX IF NOT EXISTS finished_user ON finished(uid, seq)");
  }
}

void FactWriter::start(const core::StartFact& fact) { start_.bind(1, fact.id).bind(2, std::int64_t{fact.attempt}).run(); }

void FactWriter::retry(const core::EndedAttempt& attempt) {
  retry_.bind(1, attempt.id).bind(2, std::int64_t{attempt.attempt}).bind(3, micros(attempt.again_at)).run();
  if (connection_.changes() == 0) return;  // its submit was refused
  ending_.clear();
  encode_end(ending_, attempt.end, attempt.ended_at);
  insert_attempt_.bind(1, attempt.id)
      .bind(2, std::int64_t{attempt.attempt})
      .bind(3, static_cast<std::int64_t>(attempt.outcome))
      .bind(4, micros(attempt.ended_at))
      .bind(5, micros(attempt.again_at))
      .bind_blob(6, ending_)
      .bind(7, attempt.kept_bytes)
      .run();
  outputs_.add(attempt.id, attempt.attempt, attempt.end);
}

void FactWriter::cancel(const core::CancelFact& fact) { cancel_.bind(1, fact.id).run(); }

// ---- finish

// A job that is not there had its submit refused: nobody was told of it, and nobody hears of its end.
void FactWriter::finish(const core::FinishFact& fact) {
  const core::FinishedJob& job = *fact.job;
  const std::uint64_t kept_bytes = core::kept_output_bytes(job.end, *job.spec) + earlier_bytes(job);
  ending_.clear();
  encode_end(ending_, job.end, job.finished_at);
  finish_.bind(1, job.seq)
      .bind(2, job.id)
      .bind(3, std::int64_t{job.attempt})
      .bind(4, static_cast<std::int64_t>(job.outcome))
      .bind(5, micros(job.finished_at))
      .bind(6, kept_bytes)
      .bind_text(8, job.record)
      .bind_blob(9, ending_);
  job.spec->group ? finish_.bind(7, label(*job.spec->group)) : finish_.bind_null(7);
  job.spec->keep ? finish_.bind(10, micros(job.finished_at + *job.spec->keep)) : finish_.bind_null(10);
  finish_.run();
  if (connection_.changes() == 0) return;
  delete_job_.bind(1, job.id).run();
  --state_.jobs;
  state_.seqs = std::max(state_.seqs, job.seq + 1);
  catalogue_.finished(fact.job, kept_bytes);
  outputs_.add(job.id, job.attempt, job.end);
}

std::uint64_t FactWriter::earlier_bytes(const core::FinishedJob& job) {
  if (job.spec->retry.max == 0) return 0;
  const ResetAtEnd reset(earlier_bytes_);
  return earlier_bytes_.bind(1, job.id).step() ? earlier_bytes_.natural(0) : 0;
}

std::int64_t FactWriter::label(const std::string& name) {
  if (const auto known = label_rows_.find(name); known != label_rows_.end()) return known->second;
  auto row = catalogue_.label_row(name);
  if (!row) {
    insert_label_.bind_text(1, name).run();
    row = connection_.newest_row();
    if (++labels_ > labels_trim_at_) trim_labels();
  }
  if (label_rows_.size() >= label_rows_max) label_rows_.clear();
  label_rows_.emplace(name, *row);
  return *row;
}

// A hundredth at a time, so that looking for those without members costs each new group little.
void FactWriter::trim_labels() {
  const std::int64_t some = groups_max_ / 100 + 1;
  trim_labels_.bind(1, labels_ - groups_max_ + some).run();
  labels_ -= connection_.changes();
  labels_trim_at_ = std::max(groups_max_, labels_ + some);
  label_rows_.clear();
}

void FactWriter::set_pool(const core::SetPoolFact& fact) {
  introduce(*fact.owner);
  put_pool_.bind_text(1, fact.spec->name).bind(2, std::int64_t{fact.owner->uid});
  put_pool_.bind_text(3, json::encode_text(*fact.spec)).run();
}

// ---- forget

void FactWriter::forget(const core::ForgetFact& fact) {
  std::vector<JobId> gone;
  for (const JobId id : fact.ids) {
    // What is not durable has no row at all.
    if (catalogue_.forget_transient(id)) {
      gone.push_back(id);
      continue;
    }
    bool known = false;
    std::optional<std::int64_t> spec;
    {
      const ResetAtEnd reset(forget_);
      if (forget_.bind(1, id).step()) {
        known = true;
        catalogue_.forgotten(id, forget_.natural(0));
        if (!forget_.is_null(1)) spec = forget_.integer(1);
        static_cast<void>(forget_.step());
      }
    }
    if (spec) {
      drop_spec_use_.bind(1, *spec).run();
      delete_spec_.bind(1, *spec).run();
    }
    if (!known) continue;
    delete_key_.bind(1, id).run();
    delete_attempts_.bind(1, id).run();
    gone.push_back(id);
  }
  note_purged(std::move(gone));
}

void FactWriter::note_purged(std::vector<JobId> ids) {
  std::ranges::sort(ids);
  for (std::size_t i = 0; i < ids.size();) {
    std::size_t next = i + 1;
    while (next < ids.size() && ids[next] <= ids[next - 1] + 1) ++next;
    note_purged_run(ids[i], ids[next - 1]);
    i = next;
  }
}

// Ranges that it touches or overlaps become one with it.
void FactWriter::note_purged_run(JobId first, JobId last) {
  const ResetAtEnd reset(purged_around_);
  JobId from = first;
  JobId to = last;
  if (purged_around_.bind(1, last + 1).step()) to = std::max(to, purged_around_.natural(1));
  purged_around_.reset();
  if (purged_around_.bind(1, first).step() && purged_around_.natural(1) + 1 >= first) from = purged_around_.natural(0);
  purged_around_.reset();
  delete_purged_.bind(1, from).bind(2, last + 1).run();
  insert_purged_.bind(1, from).bind(2, to).run();
}

}  // namespace stint::db
