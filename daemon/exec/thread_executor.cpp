#include "daemon/exec/thread_executor.hpp"

#include <boost/asio/post.hpp>

namespace stint::exec {

ThreadExecutor::ThreadExecutor(boost::asio::io_context& io, Observer& observer, const TaskRegistry& tasks, std::size_t threads)
    : TaskExecutor(io, observer, tasks), mailbox_(io, [this](Event event) { receive(std::move(event)); }), pool_(threads + 1) {}

ThreadExecutor::~ThreadExecutor() {
  all_.request_stop();
  pool_.stop();
  pool_.join();
}

ThreadExecutor::RunPtr ThreadExecutor::make_run(Order order, const Task* task) const {
  return std::make_shared<Run>(std::move(order), task);
}

void ThreadExecutor::launch(const RunPtr& run) {
  boost::asio::post(pool_, [this, run] {
    mailbox_.put({Event::Kind::began, run, wall_now(), {}, {}});
    const std::stop_callback also(all_.get_token(), [&run] { static_cast<Run&>(*run).stop.request_stop(); });
    TaskContext context;
    context.job = run->order.id;
    context.attempt = run->order.attempt;
    context.stop = static_cast<Run&>(*run).stop.get_token();
    if (run->order.spec->timeout) context.deadline = wall_now() + *run->order.spec->timeout;
    context.on_progress = [this, &run](double value, std::string text) {
      if (run->progress.set(value, std::move(text))) mailbox_.put({Event::Kind::progress, run, {}, {}, {}});
    };
    TaskEnding ending = run_blocking_task(*run->task, context, run->args_text());
    mailbox_.put({Event::Kind::ended, run, wall_now(), std::move(ending), {}});
  });
}

void ThreadExecutor::ask_to_stop(const RunPtr& run) {
  // Callbacks of the token may be a task author's own; they must not run inside a call of the engine's.
  post([run] { static_cast<Run&>(*run).stop.request_stop(); });
}

void ThreadExecutor::offload(std::function<void()> work, std::function<void()> done) {
  hold();
  boost::asio::post(pool_, [this, work = std::move(work), done = std::move(done)]() mutable {
    work();
    work = nullptr;
    mailbox_.put({Event::Kind::offloaded, {}, {}, {}, std::move(done)});
  });
}

void ThreadExecutor::receive(Event event) {
  switch (event.kind) {
    case Event::Kind::began: began(event.run, {event.at, {}, {}}); break;
    case Event::Kind::progress: progressed(event.run); break;
    case Event::Kind::ended: ended(event.run, std::move(event.ending), event.at); break;
    case Event::Kind::offloaded:
      if (event.done) event.done();
      unhold();
      break;
  }
}

void ThreadExecutor::release(std::function<void()> done) {
  pool_.join();  // its threads have nothing left to do
  done();
}

}  // namespace stint::exec
