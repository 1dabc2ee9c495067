// What waits and what streams: job.wait, job.results, feed.subscribe, stream.cancel.
#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

std::string stream_answer(feed::StreamId id) { return R"({"stream":)" + std::to_string(id) + "}"; }

core::EventKind event_kind(std::string_view name, std::size_t index) {
  const auto& known = protocol::event_kinds;
  const auto found = std::ranges::find(known, name);
  if (found != known.end()) return static_cast<core::EventKind>(found - known.begin());
  Error error = invalid_params("kinds[" + std::to_string(index) + "]", "one of " + json::detail::name_list(known));
  error.nearest = nearest_name(name, known);
  throw error;
}

}  // namespace

Reply on_wait(Context& context, protocol::WaitRequest&& request) {
  Backend& backend = context.backend;
  const feed::StreamId id = backend.feed().next_id();
  const bool any = request.until != Until::all;
  if (const auto job = context.parent(); job && request.timeout != Duration{}) {
    backend.begin_wait({id, context.holder().connection, *job, request.ids.value_or(std::vector<JobId>{}),
                        request.group.value_or(std::string()), any});
  }
  const Ticket ticket = context.defer(id);
  feed::WaitOptions options;
  options.selection = {std::move(request.ids), std::move(request.group), context.user()->uid};
  options.until = request.until;
  options.timeout = request.timeout;
  backend.feed().wait(
      id, std::move(options), [ticket, &backend, id](const std::optional<Error>& error, const feed::WaitResult& result) {
        backend.end_wait(id);
        if (error) return ticket.error(*error);
        Reply reply;
        reply.result = R"({"finished":)" + result.finished + R"(,"pending":)" + json::encode_text(result.pending) + "}";
        // Finished records are announced, so durable; of the others nobody knows yet.
        if (!result.pending.empty()) reply.after = backend.scheduler().newest_persist();
        reply.even_if_refused = true;
        answer_when_durable(backend, ticket, std::move(reply));
      });
  return Reply::later();
}

Reply on_results(Context& context, protocol::ResultsRequest&& request) {
  const feed::StreamId id = context.backend.feed().next_id();
  const Ticket ticket = context.defer(id);
  feed::ResultsOptions options;
  options.selection = {std::move(request.ids), std::move(request.group), context.user()->uid};
  options.since = request.since.value_or(0);
  options.order = request.order;
  options.part = {request.output, std::move(request.only)};
  options.timeout = request.timeout;
  context.backend.feed().results(id, std::move(options), context.conversation, [ticket, id](const std::optional<Error>& error) {
    if (error) return ticket.error(*error);
    const auto conversation = ticket.open();
    if (!conversation) return;
    ticket.result(stream_answer(id));
    conversation->stream_opened(id);
  });
  return Reply::later();
}

Reply on_subscribe(Context& context, protocol::SubscribeRequest&& request) {
  feed::SubscribeOptions options;
  if (request.kinds) {
    for (std::size_t i = 0; i < request.kinds->size(); ++i) options.kinds.push_back(event_kind((*request.kinds)[i], i));
  }
  options.group = std::move(request.group);
  options.since = request.since;
  const feed::StreamId id = context.backend.feed().next_id();
  context.backend.feed().subscribe(id, std::move(options), context.conversation);
  context.defer().result(stream_answer(id));
  context.conversation.stream_opened(id);
  return Reply::later();
}

Reply on_stream_cancel(Context& context, protocol::StreamCancelRequest&& request) {
  if (!context.conversation.stream_cancel(request.stream)) {
    Error error(ErrorKind::not_found, "stream " + std::to_string(request.stream) + " is not open on this connection");
    error.field = "stream";
    throw error;
  }
  return {};
}

}  // namespace stint::api
