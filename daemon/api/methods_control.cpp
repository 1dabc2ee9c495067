// Acting on jobs: cancel and signal.
#include "daemon/api/lookup.hpp"
#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

Reply cancelled(Backend& backend, core::CancelResult&& result) {
  Reply out =
      reply(protocol::CancelAnswer{std::move(result.cancelled), std::move(result.stopping), std::move(result.already_finished)},
            backend.scheduler().newest_persist());
  out.even_if_refused = true;
  return out;
}

bool runs(const core::Scheduler& scheduler, JobId id) {
  const core::Job* const job = scheduler.find(id);
  return job != nullptr && scheduler.state_of(*job) == State::running;
}

Reply cancel_ids(Context& context, std::vector<JobId>&& ids, bool force, bool running) {
  Backend& backend = context.backend;
  for (const JobId id : ids) {
    if (const auto* const job = backend.scheduler().find(id)) context.require_owner(job->user->uid, id);
  }
  std::vector<JobId> meant = ids;
  if (!running) std::erase_if(meant, [&backend](JobId id) { return runs(backend.scheduler(), id); });
  // What is here is cancelled now, in the order of the requests; the store is asked about the others afterwards.
  auto result = backend.cancel(meant, force);
  if (result.unknown.empty()) return cancelled(backend, std::move(result));
  const Ticket ticket = context.defer();
  auto unknown = result.unknown;
  backend.store().get(std::move(unknown), [ticket, &backend, ids = std::move(ids),
                                           result = std::move(result)](const std::vector<db::Found>& found) mutable {
    for (std::size_t i = 0; i < found.size(); ++i) {
      const JobId id = result.unknown[i];
      if (found[i].presence == db::Presence::found) {
        result.already_finished.push_back(id);
        continue;
      }
      const auto index = static_cast<std::size_t>(std::ranges::find(ids, id) - ids.begin());
      return ticket.error(db::missing_job(id, found[i].presence, "ids[" + std::to_string(index) + "]"));
    }
    answer_when_durable(backend, ticket, cancelled(backend, std::move(result)));
  });
  return Reply::later();
}

Reply cancel_group(Context& context, const std::string& group, bool force, bool running) {
  Backend& backend = context.backend;
  if (backend.scheduler().unfinished_in_group(group) > 0) {
    std::vector<JobId> idle;
    backend.scheduler().each_of_group(group, [&](const core::Job& job) {
      context.require_owner(job.user->uid, job.id);
      if (!running && backend.scheduler().state_of(job) != State::running) idle.push_back(job.id);
      return true;
    });
    return cancelled(backend, running ? backend.cancel_group(group, force) : backend.cancel(idle, force));
  }
  const Ticket ticket = context.defer();
  backend.store().knows_group(group, [ticket, group, &backend](bool known) {
    if (known) return answer_when_durable(backend, ticket, cancelled(backend, {}));
    Error error(ErrorKind::not_found, "no job has, or had, the group '" + group + "'");
    error.field = "group";
    ticket.error(error);
  });
  return Reply::later();
}

}  // namespace

Reply on_cancel(Context& context, protocol::CancelRequest&& request) {
  if (request.ids) return cancel_ids(context, std::move(*request.ids), request.force, request.running);
  return cancel_group(context, *request.group, request.force, request.running);
}

Reply on_signal(Context& context, protocol::SignalRequest&& request) {
  const int number = protocol::signal_number(request.signal);
  if (const auto* const job = context.backend.scheduler().find(request.id)) context.require_owner(job->user->uid, request.id);
  const Ticket ticket = context.defer();
  context.backend.signal(request.id, number, [ticket](const std::optional<Error>& error) {
    if (error) {
      ticket.error(*error);
    } else {
      ticket.result("{}");
    }
  });
  return Reply::later();
}

}  // namespace stint::api
