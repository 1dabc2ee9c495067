// Locks and semaphores: acquire, release, resume, set, list.
#include <algorithm>

#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

Reply acquire(Context& context, core::Acquire&& what, std::optional<Duration> timeout) {
  Backend& backend = context.backend;
  what.call = backend.feed().next_id();
  what.holder = context.holder();
  what.at_once = timeout && *timeout == Duration{};
  const core::Holder holder = what.holder;
  const Ticket ticket = context.defer(what.call);
  const auto done = [&backend, ticket, holder](const std::optional<Error>& error, core::LeaseId lease) {
    if (error) return ticket.error(*error);
    if (ticket.open()) return ticket.result(json::encode_text(protocol::LeaseAnswer{lease, lease}));
    // Nobody is there any more who could give it back: its turn is passed on.
    if (backend.scheduler().leases().find(lease) != nullptr) backend.release_lease(lease, holder);
  };
  try {
    backend.acquire(std::move(what), timeout, done);
  } catch (const Error& error) {
    ticket.error(error);
  }
  return Reply::later();
}

protocol::PermitHolder holder_of(const core::Leases& leases, core::WaiterId waiter, std::uint64_t permits) {
  protocol::PermitHolder out;
  out.permits = permits;
  if (const core::Acquire* const what = leases.about(waiter)) {
    out.owner = what->owner;
    if (what->holder.job != 0) out.job = what->holder.job;
    if (const core::Lease* const lease = leases.lease_of(waiter)) out.lease = lease->id;
  } else {
    out.job = waiter;
  }
  return out;
}

std::vector<protocol::PermitRow> rows(const core::Scheduler& scheduler, core::PermitKind kind) {
  std::vector<protocol::PermitRow> rows;
  for (const auto& state : scheduler.admission().list(kind, limits::listed_waiters_max)) {
    protocol::PermitRow row{std::string(state.name), state.capacity, state.used, {}, state.waiting, {}};
    for (const auto& [id, permits] : state.holders) row.holders.push_back(holder_of(scheduler.leases(), id, permits));
    for (const auto& [id, permits] : state.waiters) row.waiters.push_back(holder_of(scheduler.leases(), id, permits));
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

Reply on_semaphore_set(Context& context, protocol::SemaphoreSetRequest&& request) {
  return done_when(context.backend.set_semaphore(request.name, request.permits));
}

Reply on_semaphore_acquire(Context& context, protocol::SemaphoreAcquireRequest&& request) {
  return acquire(context,
                 {0, core::PermitKind::semaphore, std::move(request.name), request.permits, {}, std::move(request.owner)},
                 request.timeout);
}

Reply on_lock_acquire(Context& context, protocol::LockAcquireRequest&& request) {
  return acquire(context, {0, core::PermitKind::lock, std::move(request.name), 1, {}, std::move(request.owner)}, request.timeout);
}

Reply on_release(Context& context, protocol::LeaseRequest&& request) {
  return done_when(context.backend.release_lease(request.lease, context.holder()));
}

Reply on_lease_resume(Context& context, protocol::LeaseResumeRequest&& request) {
  if (request.token != request.lease && context.backend.scheduler().leases().find(request.lease) != nullptr) {
    throw Error(ErrorKind::permission_denied, "this is not the token that was given with lease " + std::to_string(request.lease));
  }
  const auto after = context.backend.resume_lease(request.lease, context.holder());
  return reply(protocol::LeaseAnswer{request.lease, request.token}, after);
}

Reply on_semaphore_list(Context& context, protocol::Nothing&&) {
  const core::Scheduler& scheduler = context.backend.scheduler();
  return read(context.backend,
              [&scheduler] { return protocol::SemaphoreListAnswer{rows(scheduler, core::PermitKind::semaphore)}; });
}

Reply on_lock_list(Context& context, protocol::Nothing&&) {
  const core::Scheduler& scheduler = context.backend.scheduler();
  return read(context.backend, [&scheduler] { return protocol::LockListAnswer{rows(scheduler, core::PermitKind::lock)}; });
}

}  // namespace stint::api
