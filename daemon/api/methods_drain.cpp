// The drain: takes no new work, waits for what is here, and ends again: daemon.drain, daemon.undrain.
//
// The waiting is the feed's, the decisions are the core's. What is pending is counted for every scope at once; the ids are
// looked for only for the answer.
#include <algorithm>

#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

core::DrainScope scope_of(DrainMode mode) {
  return mode == DrainMode::queued ? core::DrainScope::queued : core::DrainScope::running;
}

protocol::DrainAnswer what_is_left(const core::Scheduler& scheduler, core::DrainScope scope) {
  protocol::DrainAnswer answer;
  answer.count = core::drain_pending(scheduler.counts(), scope);
  const std::size_t wanted = std::min<std::size_t>(answer.count, limits::wait_ids_max);
  if (wanted == 0) return answer;
  scheduler.each_after(0, SIZE_MAX, [&](const core::Job& job) {
    const State state = scheduler.state_of(job);
    if (state == State::running || (state == State::queued && scope == core::DrainScope::queued))
      answer.pending.push_back(job.id);
    return answer.pending.size() < wanted;
  });
  return answer;
}

}  // namespace

Reply on_daemon_drain(Context& context, protocol::DrainRequest&& request) {
  Backend& backend = context.backend;
  const core::DrainScope scope = scope_of(request.scope);
  backend.drain(scope);
  backend.feed().drain_ended(scope);
  const feed::StreamId wait = backend.feed().next_id();
  const Ticket ticket = context.defer(wait);
  const auto answer = [&backend, ticket, scope](const Error* error) {
    if (error != nullptr) return ticket.error(*error);
    // The ends that it saw are told only when they are on disk; whether the rest is refused makes no difference.
    Reply left = reply(what_is_left(backend.scheduler(), scope), backend.scheduler().newest_persist());
    left.even_if_refused = true;
    answer_when_durable(backend, ticket, std::move(left));
  };
  const bool at_once = request.timeout && *request.timeout == Duration{};
  if (at_once) {
    answer(nullptr);
  } else {
    backend.feed().wait_drained(wait, scope, request.timeout, answer);
  }
  return Reply::later();
}

Reply on_daemon_undrain(Context& context, protocol::Nothing&&) {
  context.backend.undrain();
  context.backend.feed().drain_ended();
  return {};
}

}  // namespace stint::api
