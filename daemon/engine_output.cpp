// Output of a job in any state: asked of its executor while the attempt runs, of the store once it has ended.
#include "common/kept_output.hpp"
#include "daemon/engine.hpp"

namespace stint {
namespace {

/// Refuses a question about output that is not kept.
void require_captured(const JobSpec& spec, StreamName of) {
  if (spec.task) throw Error(ErrorKind::conflict, "the job is a task: its result is in its record, it has no output");
  if (spec.pool && of == StreamName::out) {
    throw Error(ErrorKind::conflict,
                "the job is a message to a pool: its result is in its record, and its only output is stderr");
  }
  if ((of == StreamName::out ? spec.stdout_target : spec.stderr_target).is_capture()) return;
  throw Error(ErrorKind::conflict, "the job's " + std::string(json::enum_name(of)) + " is not captured");
}

Error no_such_attempt(JobId id) { return {ErrorKind::not_found, "job " + std::to_string(id) + " has no such attempt"}; }

/// No further attempt can follow this one, whatever becomes of it.
bool is_last(const JobSpec& spec, Attempt attempt) { return attempt > spec.retry.max; }

/// The newest attempt that has begun.
Attempt newest_attempt(const core::Job& job) { return job.is_running() && !begin_of(job) ? job.attempt - 1 : job.attempt; }

}  // namespace

void Engine::read_output(OutputQuestion question, OutputDone done) {
  const core::Job* job = scheduler_.find(question.id);
  if (job == nullptr) {
    store_.get({question.id}, [this, question, done = std::move(done)](const std::vector<db::Found>& found) {
      const db::Found& row = found.front();
      if (row.presence != db::Presence::found) return done(db::missing_job(question.id, row.presence), {});
      read_finished(row.job, question, done);
    });
    return;
  }
  if (const auto* finished = std::get_if<core::Finished>(&job->state)) {
    read_finished(finished->job, question, std::move(done));
  } else if (job->spec) {
    read_unfinished(*job, job->spec, question, std::move(done));
  } else {  // it stands deep in a line
    store_.load({question.id}, [this, question, done = std::move(done)](const std::vector<core::LoadedSpec>& loaded) {
      const core::Job* now = scheduler_.find(question.id);
      if (now == nullptr || now->is_finished()) return read_output(question, done);
      read_unfinished(*now, loaded.front().spec, question, done);
    });
  }
}

void Engine::read_unfinished(const core::Job& job, const std::shared_ptr<const JobSpec>& spec, OutputQuestion question,
                             OutputDone done) {
  try {
    require_captured(*spec, question.of);
  } catch (const Error& error) {
    return done(error, {});
  }
  if (job.is_running() && !begin_of(job) &&
      executor_of(job.lane).await_recovery(job.id, job.attempt, [this, question, done] { read_output(question, done); })) {
    return;
  }
  const Attempt newest = newest_attempt(job);
  if (question.attempt == 0) question.attempt = std::max<Attempt>(newest, 1);
  if (question.attempt > newest + 1) return done(no_such_attempt(job.id), {});
  if (question.attempt == newest && begin_of(job)) return read_live(job, question, std::move(done));
  if (question.attempt <= newest) return read_attempt(spec, question, false, std::move(done));
  if (question.wait) {
    park(job.id, [this, question, done = std::move(done)]() mutable { read_output(question, std::move(done)); });
  } else {
    done(std::nullopt,
         {.bytes = {}, .offset = question.offset, .next = question.offset, .end = false, .attempt = 0, .last = false});
  }
}

void Engine::read_live(const core::Job& job, OutputQuestion question, OutputDone done) {
  const exec::OutputQuery query{.id = job.id,
                                .attempt = job.attempt,
                                .of = question.of,
                                .offset = question.offset,
                                .limit = question.limit,
                                .wait = question.wait};
  executor_of(job.lane).read_output(query, [this, question, last = is_last(*job.spec, job.attempt), done = std::move(done)](
                                               std::optional<Error> error, exec::OutputPiece piece) mutable {
    if (error && error->kind() == ErrorKind::not_found) {
      const core::Job* now = scheduler_.find(question.id);
      if (now == nullptr || now->attempt != question.attempt || !now->is_running()) return read_output(question, std::move(done));
      // It has ended, which is being told just now: of what a new daemon finds, the start is told before the end.
      return park(question.id, [this, question, done = std::move(done)]() mutable { read_output(question, std::move(done)); });
    }
    done(std::move(error), {.bytes = std::move(piece.bytes),
                            .offset = piece.offset,
                            .next = piece.next,
                            .end = piece.end,
                            .attempt = question.attempt,
                            .last = last});
  });
}

namespace {

api::OutputPiece read_report(const JobSpec& spec, const EndReport& report, const std::filesystem::path& folder,
                             const api::Backend::OutputQuestion& question) {
  const auto& content = question.of == StreamName::out ? report.stdout_content : report.stderr_content;
  api::OutputPiece out{.bytes = {}, .offset = 0, .next = 0, .end = true, .attempt = question.attempt, .last = true};
  if (!content) return out;
  const std::string path = output_path(folder, question.id, question.attempt, question.of);
  auto piece = read_kept(*content, spec.output_limit, path, question.offset, question.limit);
  out.end = piece.next >= content->size.bytes;
  out.bytes = std::move(piece.bytes);
  out.offset = piece.offset;
  out.next = piece.next;
  return out;
}

}  // namespace

/// Of an attempt after which the job ran again, or was to.
void Engine::read_attempt(std::shared_ptr<const JobSpec> spec, OutputQuestion question, bool last, OutputDone done) {
  store_.attempt(question.id, question.attempt,
                 [this, spec = std::move(spec), question, last, done = std::move(done)](const core::EndedPtr& ended) {
                   try {
                     auto piece = read_report(*spec, ended ? ended->end : EndReport{}, options_.output_dir, question);
                     piece.last = last;
                     done(std::nullopt, std::move(piece));
                   } catch (const Error& error) {
                     done(error, {});
                   }
                 });
}

void Engine::read_finished(const core::FinishedPtr& job, OutputQuestion question, OutputDone done) {
  try {
    require_captured(*job->spec, question.of);
    if (question.attempt == 0) question.attempt = job->attempt;
    if (question.attempt > std::max<Attempt>(job->attempt, 1)) throw no_such_attempt(job->id);
    const bool last = question.attempt == job->attempt;
    // The last one may have been followed by a wait for the next, in which the job was ended.
    const bool waited = last && job->attempt > 0 && !job->end.stdout_content && !job->end.stderr_content;
    if (!last || waited) return read_attempt(job->spec, question, last, std::move(done));
    done(std::nullopt, read_report(*job->spec, job->end, options_.output_dir, question));
  } catch (const Error& error) {
    done(error, {});
  }
}

}  // namespace stint
