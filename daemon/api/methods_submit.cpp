// New work: one job, many in one go, and one whose end is waited for.
#include <algorithm>
#include <optional>

#include "daemon/api/idempotency.hpp"
#include "daemon/api/lookup.hpp"
#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

using NewJob = Backend::NewJob;

std::string made_up_group(Context& context) {
  // The instance makes it unique across restarts, the job's id within one.
  return "g-" + context.backend.info().value("instance", std::string("0")) + "-" +
         std::to_string(context.backend.scheduler().last_id() + 1);
}

/// A job that names no group joins the call's. Where the call itself names one, another in a job is a mistake.
void settle_group(JobSpec& spec, const std::string& group, bool named_by_call, const std::string& field) {
  if (!spec.group) {
    spec.group = group;
  } else if (named_by_call && *spec.group != group) {
    throw invalid_params(field + ".group", "the group of the call, '" + group + "', or none");
  }
}

/// The one group that all jobs of a call name themselves.
std::optional<std::string> shared_group(const protocol::SubmitManyRequest& request) {
  if (request.job_template) return request.job_template->group;
  const auto& first = request.jobs->front().group;
  const bool shared = std::ranges::all_of(*request.jobs, [&first](const JobSpec& spec) { return spec.group == first; });
  return shared ? first : std::nullopt;
}

std::vector<NewJob> from_list(std::vector<JobSpec>&& specs, const std::string& group, bool named_by_call) {
  std::vector<NewJob> jobs;
  jobs.reserve(specs.size());
  const bool durable = specs.front().durable;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const std::string field = "jobs[" + std::to_string(i) + "]";
    settle_group(specs[i], group, named_by_call, field);
    if (specs[i].durable != durable) throw invalid_params(field + ".durable", "the same for all jobs of one call");
    NewJob job;
    job.spec = std::make_shared<const JobSpec>(std::move(specs[i]));
    job.index = static_cast<std::uint32_t>(i);
    jobs.push_back(std::move(job));
  }
  return jobs;
}

std::vector<NewJob> from_template(JobSpec&& spec, std::vector<json::Raw>&& items) {
  const auto shared = std::make_shared<const JobSpec>(std::move(spec));
  std::vector<NewJob> jobs;
  jobs.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    jobs.push_back({shared, std::make_shared<const json::Raw>(std::move(items[i])), static_cast<std::uint32_t>(i)});
  }
  return jobs;
}

/// Answers job.run: with the job's record as it is when the wait is over.
struct RunAnswer {
  Backend& backend;
  Ticket ticket;
  JobId id;
  bool output;

  void operator()(const core::FinishedPtr& finished, const Error* error) const {
    if (error != nullptr) return ticket.error(*error);
    if (!ticket.open()) return;
    if (finished) {
      if (!output) return ticket.result(finished->record);
      std::string record;
      feed::append_record(record, *finished, {true, {}});
      return ticket.result(record);
    }
    // Its timeout has passed: the record of a job that goes on.
    answer_about(backend, ticket, id, [&to = backend](const Located& at) {
      Reply reply;
      reply.result = at.finished ? at.finished->record : at.record(to.scheduler());
      reply.after = to.scheduler().newest_persist();
      return reply;
    });
  }
};

/// job.run with a key that was used before: the wait for the job of then, or its record.
Reply wait_for_known(Context& context, JobId id, const protocol::RunRequest& request) {
  Backend& backend = context.backend;
  if (backend.scheduler().find(id) != nullptr) {
    const feed::StreamId wait = backend.feed().next_id();
    const Ticket ticket = context.defer(wait);
    backend.feed().wait_job(wait, id, request.timeout, RunAnswer{backend, ticket, id, request.output});
    return Reply::later();
  }
  const Ticket ticket = context.defer();
  backend.store().get({id}, [answer = RunAnswer{backend, ticket, id, request.output}](const std::vector<db::Found>& found) {
    const Error gone(ErrorKind::purged, "job " + std::to_string(answer.id) + " is no longer kept");
    answer(found.front().job, found.front().job ? nullptr : &gone);
  });
  return Reply::later();
}

std::vector<NewJob> one_job(JobSpec&& spec) {
  std::vector<NewJob> jobs(1);
  jobs.front().spec = std::make_shared<const JobSpec>(std::move(spec));
  return jobs;
}

}  // namespace

Reply on_submit(Context& context, protocol::SubmitRequest&& request) {
  std::optional<core::SubmitKey> key;
  if (request.job.key) {
    key = submit_key(request);
    if (const auto* known = submitted_before(context, *key))
      return reply(protocol::SubmitAnswer{known->first, true}, known->after);
  }
  const Submitted submitted =
      context.backend.submit(one_job(std::move(request.job)), context.user(), "job", std::move(key), context.parent());
  return reply(protocol::SubmitAnswer{submitted.first, false}, submitted.after);
}

Reply on_submit_many(Context& context, protocol::SubmitManyRequest&& request) {
  std::optional<core::SubmitKey> key;
  if (request.key) {
    key = submit_key(request);
    if (const auto* known = submitted_before(context, *key)) {
      return reply(protocol::SubmitManyAnswer{known->group, known->first, known->count, true}, known->after);
    }
  }
  const bool listed = request.jobs.has_value();
  const bool named_by_call = request.group.has_value();
  auto group = named_by_call ? request.group : shared_group(request);
  if (!group) group = made_up_group(context);
  if (key) key->group = *group;

  std::vector<NewJob> jobs;
  if (listed) {
    jobs = from_list(std::move(*request.jobs), *group, named_by_call);
  } else {
    settle_group(*request.job_template, *group, named_by_call, "template");
    if (request.marker) request.job_template->item_marker = *request.marker;
    jobs = from_template(std::move(*request.job_template), std::move(*request.items));
  }
  const std::size_t count = jobs.size();
  const Submitted submitted =
      context.backend.submit(std::move(jobs), context.user(), listed ? "jobs" : "template", std::move(key), context.parent());
  return reply(protocol::SubmitManyAnswer{std::move(*group), submitted.first, count, false}, submitted.after);
}

Reply on_run(Context& context, protocol::RunRequest&& request) {
  Backend& backend = context.backend;
  std::optional<core::SubmitKey> key;
  if (request.job.key) {
    key = submit_key(request);
    if (const auto* known = submitted_before(context, *key)) return wait_for_known(context, known->first, request);
  }
  // The job may end inside submit(), so its wait stands before it: a submit's first id is the one after the last.
  const JobId expected = backend.scheduler().last_id() + 1;
  const feed::StreamId wait = backend.feed().next_id();
  const Ticket ticket = context.defer(wait);
  const auto parent = context.parent();
  backend.feed().wait_job(wait, expected, request.timeout,
                          [answer = RunAnswer{backend, ticket, expected, request.output}, &backend, wait](
                              const core::FinishedPtr& finished, const Error* error) {
                            backend.end_wait(wait);
                            // In a circle that others have closed: nobody will wait for it.
                            if (error != nullptr && error->kind() == ErrorKind::conflict)
                              backend.cancel(std::vector{answer.id}, false);
                            answer(finished, error);
                          });
  try {
    const Submitted submitted = backend.submit(one_job(std::move(request.job)), context.user(), "job", std::move(key), parent);
    if (submitted.first != expected) throw std::logic_error("a submit's first id is not the one after the last");
  } catch (const Error& error) {
    backend.feed().drop(wait);
    ticket.error(error);
    return Reply::later();
  }
  if (!parent || request.timeout == Duration{} || !ticket.open()) return Reply::later();
  try {
    backend.begin_wait({wait, context.holder().connection, *parent, {expected}, {}, false});
  } catch (const Error& error) {  // nobody will wait for it
    backend.feed().drop(wait);
    backend.cancel(std::vector{expected}, false);
    ticket.error(error);
  }
  return Reply::later();
}

}  // namespace stint::api
