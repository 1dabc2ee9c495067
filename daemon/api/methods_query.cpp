// Questions about one job: its record, its whole specification, why it does not run.
#include "daemon/api/lookup.hpp"
#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

/// The specification as it would be submitted again, and the result where there is one.
struct WholeSpec {
  const JobSpec& spec;
  const json::Raw* item;
  const EndReport* end;

  [[nodiscard]] std::string encode() const {
    JobSpec whole = spec;
    if (item != nullptr && whole.command) whole.command = expand_command(*spec.command, spec.item_marker, *item);
    if (item != nullptr && !whole.is_program()) whole.args = *item;
    std::string out;
    json::Writer writer(out);
    writer.begin_object();
    json::Codec<JobSpec>::write_fields(writer, whole);
    if (item != nullptr) {
      writer.key("item");
      writer.raw(item->text);
    }
    const auto* const returned = end == nullptr ? nullptr : std::get_if<EndReport::Returned>(&end->ending);
    if (returned != nullptr) {
      writer.key("result");
      writer.raw(returned->result.text);
    }
    const auto* const failed = end == nullptr ? nullptr : std::get_if<EndReport::Failed>(&end->ending);
    if (failed != nullptr && failed->error.data) {
      writer.key("error");
      json::encode(writer, failed->error);
    }
    writer.end_object();
    return out;
  }
};

std::string_view lane_executor(core::Lane lane) {
  switch (lane) {
    case core::Lane::program:
    case core::Lane::pool:
    case core::Lane::host: return json::enum_name(ExecutorKind::process);
    case core::Lane::thread: return json::enum_name(ExecutorKind::thread);
    case core::Lane::coroutine: return json::enum_name(ExecutorKind::coroutine);
  }
  return {};
}

void encode_reason(json::Writer& writer, const core::Reason& reason, const JobSpec& spec) {
  writer.begin_object();
  writer.key("kind");
  if (reason.kind == core::Reason::Kind::draining) {
    writer.string("draining");
  } else if (reason.kind == core::Reason::Kind::permit) {
    writer.string(json::enum_name(reason.permit));
    writer.key("name");
    writer.string(reason.name);
    writer.key("ahead");
    writer.unsigned_integer(reason.ahead);
  } else if (reason.kind != core::Reason::Kind::slots) {
    writer.string(reason.kind == core::Reason::Kind::time ? "time" : "retry");
    writer.key("until");
    writer.seconds(reason.until);
  } else {
    writer.string("slots");
    writer.key(spec.pool ? "pool" : "executor");
    writer.string(spec.pool ? std::string_view(*spec.pool) : lane_executor(reason.lane));
    writer.key("ahead");
    writer.unsigned_integer(reason.ahead);
  }
  writer.end_object();
}

/// A read waits for what it may have seen; a job that is not durable was never on its way to the disk.
core::PersistNumber seen_up_to(const Backend& backend, bool durable) {
  return durable ? backend.scheduler().newest_persist() : 0;
}

}  // namespace

Reply on_get(Context& context, protocol::IdRequest&& request) {
  return answer_about(context, request.id, [&backend = context.backend](const Located& at) {
    Reply reply;
    if (at.finished) {
      reply.result = at.finished->record;
      // Where it is not durable, its announcement may still stand behind one that is.
      reply.after = backend.scheduler().newest_persist();
      return reply;
    }
    reply.result = at.record(backend.scheduler());
    reply.after = seen_up_to(backend, at.job->durable);
    return reply;
  });
}

Reply on_spec(Context& context, protocol::IdRequest&& request) {
  return answer_about(
      context, request.id, [&backend = context.backend, user = context.user(), id = request.id](const Located& at) {
        if (at.owner() != user->uid) {
          throw Error(ErrorKind::permission_denied, "only who submitted job " + std::to_string(id) + " may see all of it");
        }
        Reply reply;
        reply.after = backend.scheduler().newest_persist();
        reply.result = WholeSpec{at.spec(), at.item(), at.finished ? &at.finished->end : nullptr}.encode();
        return reply;
      });
}

Reply on_why(Context& context, protocol::IdRequest&& request) {
  return answer_about(context, request.id, [&backend = context.backend](const Located& at) {
    Reply reply;
    reply.result.clear();
    reply.after = backend.scheduler().newest_persist();
    json::Writer writer(reply.result);
    writer.begin_object();
    writer.key("state");
    const State state = at.finished ? State::finished : backend.scheduler().state_of(*at.job);
    writer.string(json::enum_name(state));
    writer.key("reasons");
    writer.begin_array();
    if (state == State::queued || state == State::waiting) {
      for (const auto& reason : backend.scheduler().why(*at.job)) encode_reason(writer, reason, at.spec());
    }
    writer.end_array();
    writer.end_object();
    return reply;
  });
}

}  // namespace stint::api
