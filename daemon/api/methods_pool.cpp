// Pools: pool.set, pool.list, pool.remove.
#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

std::string binding_of(const std::string& pool) { return "pool " + pool; }

Error unknown_pool(const core::Scheduler& scheduler, const std::string& name) {
  const auto pools = scheduler.pools();
  std::vector<std::string_view> known;
  for (const auto& pool : pools) known.push_back(pool.spec->name);
  Error error(ErrorKind::not_found, "no pool '" + name + "'");
  error.field = "name";
  error.nearest = nearest_name(name, known);
  return error;
}

/// Throws where the caller may not change or remove this pool.
void require_own(const Context& context, const core::PoolView& pool) {
  const std::string name = "the pool '" + pool.spec->name + "'";
  if (!pool.owner) throw Error(ErrorKind::conflict, name + " stands in the configuration: change it there");
  if (!context.may_act(pool.owner->uid)) throw Error(ErrorKind::permission_denied, name + " is not yours");
  if (pool.removing) throw Error(ErrorKind::conflict, name + " is being removed: it is gone when its last job has ended");
  if (pool.spec->bind && !context.conversation.has_bound(binding_of(pool.spec->name))) {
    throw Error(ErrorKind::conflict, name + " is bound to another connection, and ends with it");
  }
}

}  // namespace

Reply on_pool_set(Context& context, PoolSpec&& request) {
  Backend& backend = context.backend;
  if (const auto pool = backend.scheduler().find_pool(request.name)) {
    require_own(context, *pool);
    if (pool->spec->bind != request.bind) {
      throw Error(ErrorKind::conflict,
                  "a pool cannot be bound to a connection, or be no longer: remove '" + request.name + "' first");
    }
  } else if (backend.scheduler().pools().size() >= limits::pools_max) {
    throw limit_exceeded("there are " + std::to_string(limits::pools_max) + " pools: remove one first", "pools_max",
                         limits::pools_max);
  }
  if (request.bind) {
    context.conversation.bind(binding_of(request.name), [&backend, name = request.name] { backend.remove_pool(name); });
  }
  Reply reply;
  reply.after = backend.set_pool(std::move(request), context.user());
  reply.even_if_refused = true;
  return reply;
}

Reply on_pool_list(Context& context, protocol::Nothing&&) {
  return read(context.backend, [&scheduler = context.backend.scheduler()] {
    protocol::PoolListAnswer answer;
    for (const core::PoolView& pool : scheduler.pools()) {
      const PoolSpec& spec = *pool.spec;
      protocol::PoolRow& row = answer.pools.emplace_back();
      row.name = spec.name;
      row.command = spec.command;
      row.size = spec.size;
      row.cwd = spec.cwd;
      row.max_jobs = spec.max_jobs;
      row.idle_timeout = spec.idle_timeout;
      row.bind = spec.bind;
      if (pool.owner) row.user = pool.owner->name;
      row.queued = pool.queued;
      row.running = pool.running;
      row.removing = pool.removing;
    }
    return answer;
  });
}

Reply on_pool_remove(Context& context, protocol::PoolRemoveRequest&& request) {
  Backend& backend = context.backend;
  const auto pool = backend.scheduler().find_pool(request.name);
  if (!pool) throw unknown_pool(backend.scheduler(), request.name);
  require_own(context, *pool);
  if (pool->unfinished > 0 && !request.force) {
    throw Error(ErrorKind::conflict, std::to_string(pool->unfinished) + " jobs of the pool '" + request.name +
                                         "' are unfinished: wait for them, or cancel them with \"force\"");
  }
  context.conversation.unbind(binding_of(request.name));
  Reply reply;
  reply.after = backend.remove_pool(request.name);
  reply.even_if_refused = true;
  return reply;
}

}  // namespace stint::api
