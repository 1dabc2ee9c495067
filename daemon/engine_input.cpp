// Input and signals for a job in any state: input waits here until its program runs.
#include "daemon/engine.hpp"

namespace stint {
namespace {

/// Input for a job that has not begun, held for it; past it job.input answers `limit_exceeded`.
constexpr std::size_t parked_input_bytes_max = limits::input_chunk_bytes_max;

Error not_started() { return {ErrorKind::conflict, "the job has not started: it has no process to signal"}; }
Error has_finished() { return {ErrorKind::conflict, "the job has finished"}; }

/// An executor has not found the attempt: it has just ended, which is being told. The job is there all the same.
exec::DoneCallback ended_is_conflict(exec::DoneCallback done) {
  return [done = std::move(done)](std::optional<Error> error) {
    if (error && error->kind() == ErrorKind::not_found) error = has_finished();
    done(std::move(error));
  };
}

}  // namespace

void Engine::signal(JobId id, int number, std::function<void(std::optional<Error>)> done) {
  const core::Job* job = scheduler_.find(id);
  if (job == nullptr || job->is_finished()) {
    store_.get({id}, [id, done = std::move(done), here = job != nullptr](const std::vector<db::Found>& found) {
      done(here || found.front().presence == db::Presence::found ? has_finished() : db::missing_job(id, found.front().presence));
    });
  } else if (!job->is_running()) {
    done(not_started());
  } else {
    executor_of(job->lane).signal(id, job->attempt, number, ended_is_conflict(std::move(done)));
  }
}

void Engine::write_input(JobId id, InputPiece piece, InputDone done) {
  const core::Job* job = scheduler_.find(id);
  if (job == nullptr || job->is_finished()) {
    store_.get({id}, [id, done = std::move(done), here = job != nullptr](const std::vector<db::Found>& found) {
      done(here || found.front().presence == db::Presence::found ? has_finished() : db::missing_job(id, found.front().presence));
    });
    return;
  }
  if (!job->spec) {  // it stands deep in a line
    store_.load({id}, [this, id, piece = std::move(piece), done = std::move(done)](const auto& loaded) mutable {
      take_input(id, loaded.front().spec, std::move(piece), std::move(done));
    });
    return;
  }
  take_input(id, job->spec, std::move(piece), std::move(done));
}

void Engine::take_input(JobId id, const std::shared_ptr<const JobSpec>& spec, InputPiece piece, InputDone done) {
  const core::Job* job = scheduler_.find(id);
  if (job == nullptr || job->is_finished()) return write_input(id, std::move(piece), std::move(done));
  if (!spec->stdin_source.is_stream()) {
    done(Error(ErrorKind::conflict, "the job's standard input is not a stream: submit it with \"stdin\": \"stream\""));
    return;
  }
  const auto parked = parked_.find(id);
  if (!begin_of(*job)) {
    const std::size_t held = parked == parked_.end() ? 0 : parked->second.input_bytes;
    if (held > 0 && held + piece.bytes.size() > parked_input_bytes_max) {
      done(limit_exceeded("the job has not started and holds as much input as it may", "parked_input_bytes_max",
                          parked_input_bytes_max));
      return;
    }
    const std::size_t size = piece.bytes.size();
    park(id, [this, id, piece = std::move(piece), done = std::move(done)]() mutable {
      write_input(id, std::move(piece), std::move(done));
    });
    parked_[id].input_bytes += size;
    return;
  }
  executor_of(job->lane).write_input(id, job->attempt, std::move(piece), ended_is_conflict(std::move(done)));
}

void Engine::park(JobId id, std::function<void()> again) { parked_[id].again.push_back(std::move(again)); }

void Engine::wake(JobId id) {
  if (parked_.empty()) return;
  const auto found = parked_.find(id);
  if (found == parked_.end()) return;
  auto questions = std::move(found->second.again);
  parked_.erase(found);
  for (auto& question : questions) question();
}

}  // namespace stint
