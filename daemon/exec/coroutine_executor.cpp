#include "daemon/exec/coroutine_executor.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

namespace stint::exec {

struct CoroutineExecutor::Run : TaskRun {
  Run(Order the_order, const Task* the_task, boost::asio::io_context& its_context, bool on_io)
      : TaskRun(std::move(the_order), the_task), context(its_context), is_inline(on_io) {}

  boost::asio::io_context& context;
  const bool is_inline;

  // Of the context's thread; the coroutine holds references into it.
  TaskContext task_context;
  nlohmann::json args;
  std::stop_source stop;
  boost::asio::cancellation_signal cancel;
  bool over = false;
};

CoroutineExecutor::CoroutineExecutor(boost::asio::io_context& io, Observer& observer, const TaskRegistry& tasks)
    : TaskExecutor(io, observer, tasks),
      events_(io, [this](Event event) { receive(std::move(event)); }),
      begins_(second_, [this](const CoroutinePtr& run) { begin(run); }),
      second_work_(second_.get_executor()) {}

CoroutineExecutor::~CoroutineExecutor() {
  second_work_.reset();
  second_.stop();
  if (thread_.joinable()) thread_.join();
}

/// Arguments that take long to be read are read on the second context's thread: nobody else is to wait meanwhile.
bool CoroutineExecutor::is_small(const Order& order) {
  return task_args_text(*order.spec, order.item.get()).size() < limits::shared_payload_bytes_min;
}

CoroutineExecutor::RunPtr CoroutineExecutor::make_run(Order order, const Task* task) const {
  const bool is_small_one = is_small(order);
  if (task != nullptr && task->instant && is_small_one) return std::make_shared<TaskRun>(std::move(order), task);
  auto* self = const_cast<CoroutineExecutor*>(this);
  const bool on_io = task != nullptr && task->inline_coroutine && is_small_one;
  return std::make_shared<Run>(std::move(order), task, on_io ? self->io() : self->second_, on_io);
}

void CoroutineExecutor::spawn_thread() {
  if (!thread_.joinable()) thread_ = std::thread([this] { second_.run(); });
}

void CoroutineExecutor::launch(const RunPtr& run) {
  if (run->task->instant && is_small(run->order)) return run_instantly(run);
  const auto coroutine = std::static_pointer_cast<Run>(run);
  if (coroutine->is_inline) {
    begin(coroutine);
  } else {
    spawn_thread();
    begins_.put(coroutine);
  }
}

void CoroutineExecutor::run_instantly(const RunPtr& run) {
  TaskContext context;
  context.job = run->order.id;
  context.attempt = run->order.attempt;
  began(run, {wall_now(), {}, {}});
  ended(run, run_blocking_task(*run->task, context, run->args_text()), wall_now());
}

void CoroutineExecutor::begin(const CoroutinePtr& run) {
  TaskContext& context = run->task_context;
  context.job = run->order.id;
  context.attempt = run->order.attempt;
  context.stop = run->stop.get_token();
  const Time now = wall_now();
  if (run->order.spec->timeout) context.deadline = now + *run->order.spec->timeout;
  context.on_progress = [this, run = run.get()](double value, std::string text) {
    if (run->progress.set(value, std::move(text))) {
      tell({Event::Kind::progress, run->shared_from_this(), {}, {}});
    }
  };
  tell({Event::Kind::began, run, now, {}});
  if (run->task->instant) {
    run->over = true;
    TaskEnding ending = run_blocking_task(*run->task, context, run->args_text());
    return tell({Event::Kind::ended, run, wall_now(), std::move(ending)});
  }

  // The handler is called on the run's own context, never from inside co_spawn, and is the run's owner there.
  auto on_end = [this, run](const std::exception_ptr& thrown, const nlohmann::json& result) {
    run->over = true;
    TaskEnding ending = thrown ? task_threw(thrown) : task_returned(result);
    tell({Event::Kind::ended, run, wall_now(), std::move(ending)});
    // What asio still does with this coroutine after the handler may touch the slot: the signal outlives it.
    boost::asio::post(run->context, [run] {});
  };
  try {
    run->args = decode_task_args(run->args_text());
    boost::asio::co_spawn(run->context, run->task->coroutine(context, run->args),
                          boost::asio::bind_cancellation_slot(run->cancel.slot(), std::move(on_end)));
  } catch (...) {
    run->over = true;
    tell({Event::Kind::ended, run, wall_now(), task_threw(std::current_exception())});
  }
}

void CoroutineExecutor::tell(Event event) {
  if (static_cast<const Run&>(*event.run).is_inline) {
    receive(std::move(event));
  } else {
    events_.put(std::move(event));
  }
}

void CoroutineExecutor::receive(Event event) {
  switch (event.kind) {
    case Event::Kind::began: began(event.run, {event.at, {}, {}}); break;
    case Event::Kind::progress: progressed(event.run); break;
    case Event::Kind::ended: ended(event.run, std::move(event.ending), event.at); break;
  }
}

void CoroutineExecutor::ask_to_stop(const RunPtr& run) {
  if (run->task->instant && is_small(run->order)) return;  // over before anybody could wait for it
  // By a post of its own, so that nothing is resumed inside a call of the engine's; behind the post that begins it.
  const auto coroutine = std::static_pointer_cast<Run>(run);
  boost::asio::post(coroutine->context, [coroutine] {
    if (coroutine->over) return;
    coroutine->stop.request_stop();
    coroutine->cancel.emit(boost::asio::cancellation_type::all);
  });
}

void CoroutineExecutor::release(std::function<void()> done) {
  second_work_.reset();
  if (thread_.joinable()) thread_.join();  // no coroutine is left, so it has nothing more to do
  done();
}

}  // namespace stint::exec
