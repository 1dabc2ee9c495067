// From inside a running job: job.enter, job.progress.
#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

const core::Running* run_of(const core::Scheduler& scheduler, JobId id, Attempt attempt) {
  const core::Job* const job = scheduler.find(id);
  return job == nullptr || job->attempt != attempt ? nullptr : std::get_if<core::Running>(&job->state);
}

}  // namespace

Reply on_enter(Context& context, protocol::EnterRequest&& request) {
  Backend& backend = context.backend;
  const core::Job* const job = backend.scheduler().find(request.job);
  if (job != nullptr) context.require_owner(job->user->uid, request.job);
  if (run_of(backend.scheduler(), request.job, request.attempt) == nullptr) {
    const Error idle(ErrorKind::conflict,
                     "attempt " + std::to_string(request.attempt) + " of job " + std::to_string(request.job) + " does not run");
    if (job != nullptr) throw idle;
    const Ticket ticket = context.defer();
    backend.store().get({request.job}, [ticket, idle, id = request.job](const std::vector<db::Found>& found) {
      const db::Presence presence = found.front().presence;
      ticket.error(presence == db::Presence::found ? idle : db::missing_job(id, presence, "job"));
    });
    return Reply::later();
  }
  Conversation& conversation = context.conversation;
  if (conversation.job() != 0 && conversation.job() != request.job) {
    throw Error(ErrorKind::conflict, "this connection has entered job " + std::to_string(conversation.job()));
  }
  conversation.enter(request.job, request.attempt,
                     [&backend, request](bool waits) { backend.lend(request.job, request.attempt, waits); });
  return {};
}

Reply on_progress(Context& context, protocol::ProgressRequest&& request) {
  const Conversation& conversation = context.conversation;
  const core::Running* const run = run_of(context.backend.scheduler(), conversation.job(), conversation.attempt());
  if (run == nullptr) {
    throw Error(ErrorKind::conflict, "this connection has entered no job that runs: job.enter comes first");
  }
  const auto before = run->run.details ? run->run.details->progress : std::nullopt;
  context.backend.progress(conversation.job(), conversation.attempt(), request.value.value_or(before.value_or(0)),
                           std::move(request.text));
  return {};
}

}  // namespace stint::api
