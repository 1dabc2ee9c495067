#include "daemon/api/lookup.hpp"

namespace stint::api {

Error missing_job(JobId id, db::Presence presence, std::string field) {
  const std::string name = "job " + std::to_string(id);
  Error error = presence == db::Presence::purged ? Error(ErrorKind::purged, "the record of " + name + " is no longer kept")
                                                 : Error(ErrorKind::not_found, "there is no " + name);
  error.field = std::move(field);
  return error;
}

core::FinishedPtr finished_form(const core::Job& job) {
  const auto* const finished = std::get_if<core::Finished>(&job.state);
  return finished == nullptr ? nullptr : finished->job;
}

Reply answer_about(Context& context, JobId id, std::function<Reply(const Located&)> reply) {
  if (const core::Job* const job = context.backend.scheduler().find(id)) {
    const auto finished = finished_form(*job);
    return reply(finished ? Located{nullptr, finished} : Located{job, nullptr});
  }
  const Ticket ticket = context.defer();
  context.backend.store().get(
      {id}, [ticket, id, &backend = context.backend, reply = std::move(reply)](const std::vector<db::Found>& found) {
        const db::Found& row = found.front();
        if (row.presence != db::Presence::found) return ticket.error(missing_job(id, row.presence, "id"));
        try {
          answer_when_durable(backend, ticket, reply({nullptr, row.job}));
        } catch (const Error& error) {
          ticket.error(error);
        }
      });
  return Reply::later();
}

}  // namespace stint::api
