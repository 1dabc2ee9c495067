// Channels: channel.open, put, get, close, remove, list.
#include "daemon/api/methods.hpp"
#include "daemon/feed/exchange.hpp"

namespace stint::api {

Reply on_channel_open(Context& context, protocol::ChannelOpenRequest&& request) {
  return done_when(context.backend.exchange().open(request.name, request.capacity, request.durable));
}

Reply on_channel_close(Context& context, protocol::NameRequest&& request) {
  return done_when(context.backend.exchange().close(request.name));
}

Reply on_channel_remove(Context& context, protocol::NameRequest&& request) {
  return done_when(context.backend.exchange().remove(request.name));
}

Reply on_channel_put(Context& context, protocol::ChannelPutRequest&& request) {
  if (request.item.text.size() > limits::channel_item_bytes_max) {
    Error error = limit_exceeded("an item has at most " + std::to_string(limits::channel_item_bytes_max) + " bytes",
                                 "channel_item_bytes_max", limits::channel_item_bytes_max);
    error.field = "item";
    throw error;
  }
  feed::Exchange& exchange = context.backend.exchange();
  const feed::StreamId call = context.backend.feed().next_id();
  // A put that finds room ends by itself: it may be pipelined like any other call.
  const Ticket ticket = exchange.has_room(request.name, request.item) ? context.defer_briefly() : context.defer(call);
  exchange.put(call, request.name, std::move(request.item), request.timeout, [ticket](const std::optional<Error>& error) {
    if (error) {
      ticket.error(*error);
    } else {
      ticket.result("{}");
    }
  });
  return Reply::later();
}

Reply on_channel_get(Context& context, protocol::ChannelGetRequest&& request) {
  const feed::StreamId call = context.backend.feed().next_id();
  const Ticket ticket = context.defer(call);
  const auto done = [ticket](const std::optional<Error>& error, feed::GetResult result) {
    if (error) return ticket.error(*error);
    protocol::ChannelGetAnswer answer;
    answer.closed = result.closed;
    for (const core::ChannelItem& item : result.items) answer.items.push_back(*item.value);
    ticket.result(json::encode_text(answer), std::move(result.handed_over));
  };
  context.backend.exchange().get(call, request.name, request.count, request.timeout, done);
  return Reply::later();
}

Reply on_channel_list(Context& context, protocol::Nothing&&) {
  return read(context.backend, [&exchange = context.backend.exchange()] {
    protocol::ChannelListAnswer answer;
    for (core::ChannelState& state : exchange.channels()) {
      answer.channels.push_back({std::move(state.name), state.capacity, state.durable, state.closed, state.items, state.bytes,
                                 state.putting, state.getting});
    }
    return answer;
  });
}

}  // namespace stint::api
