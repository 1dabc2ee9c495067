#include "daemon/api/lookup.hpp"

namespace stint::api {

core::FinishedPtr finished_form(const core::Job& job) {
  const auto* const finished = std::get_if<core::Finished>(&job.state);
  return finished == nullptr ? nullptr : finished->job;
}

std::string Located::record(const core::Scheduler& scheduler) const {
  std::string text;
  json::Writer writer(text);
  encode_record(writer, scheduler.record_of(*job, shelved ? &*shelved : nullptr));
  return text;
}

void locate(Backend& backend, JobId id, std::function<void(const Located&)> done, std::function<void(const Error&)> failed) {
  const core::Job* const job = backend.scheduler().find(id);
  if (job == nullptr) {
    backend.store().get({id}, [id, done = std::move(done), failed = std::move(failed)](const std::vector<db::Found>& found) {
      const db::Found& row = found.front();
      if (row.presence != db::Presence::found) return failed(db::missing_job(id, row.presence));
      done({nullptr, row.job, {}});
    });
  } else if (auto finished = finished_form(*job)) {
    done({nullptr, std::move(finished), {}});
  } else if (job->spec) {
    done({job, nullptr, {}});
  } else {
    backend.store().load(
        {id}, [&backend, id, done = std::move(done), failed = std::move(failed)](const std::vector<core::LoadedSpec>& loaded) {
          const core::Job* const now = backend.scheduler().find(id);
          if (now == nullptr || now->is_finished()) return locate(backend, id, done, failed);
          done({now, nullptr, loaded.front()});
        });
  }
}

void answer_about(Backend& backend, const Ticket& ticket, JobId id, std::function<Reply(const Located&)> look) {
  locate(
      backend, id,
      [&backend, ticket, id, look](const Located& at) {
        try {
          Reply reply = look(at);
          reply.again = [&backend, id, look](const Ticket& open) { answer_about(backend, open, id, look); };
          answer_when_durable(backend, ticket, std::move(reply));
        } catch (const Error& error) {
          ticket.error(error);
        }
      },
      [ticket](const Error& error) { ticket.error(error); });
}

Reply answer_about(Context& context, JobId id, std::function<Reply(const Located&)> look) {
  Backend& backend = context.backend;
  if (const core::Job* const job = backend.scheduler().find(id); job != nullptr && job->spec) {
    const auto finished = finished_form(*job);
    Reply reply = look(finished ? Located{nullptr, finished, {}} : Located{job, nullptr, {}});
    reply.again = [&backend, id, look](const Ticket& open) { answer_about(backend, open, id, look); };
    return reply;
  }
  answer_about(backend, context.defer(), id, std::move(look));
  return Reply::later();
}

}  // namespace stint::api
