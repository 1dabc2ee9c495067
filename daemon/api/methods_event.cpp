// Named events: event.set, clear, wait, list.
#include "daemon/api/methods.hpp"
#include "daemon/feed/exchange.hpp"

namespace stint::api {

Reply on_event_set(Context& context, protocol::NameRequest&& request) {
  return done_when(context.backend.exchange().set(request.name));
}

Reply on_event_clear(Context& context, protocol::NameRequest&& request) {
  return done_when(context.backend.exchange().clear(request.name));
}

Reply on_event_wait(Context& context, protocol::EventWaitRequest&& request) {
  const feed::StreamId call = context.backend.feed().next_id();
  const Ticket ticket = context.defer(call);
  context.backend.exchange().wait(call, request.name, request.timeout, [ticket](const std::optional<Error>& error) {
    if (error) {
      ticket.error(*error);
    } else {
      ticket.result("{}");
    }
  });
  return Reply::later();
}

Reply on_event_list(Context& context, protocol::Nothing&&) {
  return read(context.backend, [&exchange = context.backend.exchange()] {
    protocol::EventListAnswer answer;
    for (core::NamedEventState& state : exchange.events()) {
      answer.events.push_back({std::move(state.name), state.set, state.waiting});
    }
    return answer;
  });
}

}  // namespace stint::api
