#include "tests/conformance/test_tasks.hpp"

#include <unistd.h>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>

#include "daemon/tasks/builtin.hpp"

namespace stint::test {
namespace {

using boost::asio::awaitable;
using nlohmann::json;

/// Adds the same function as a coroutine.
Task with_coroutine(Task task) {
  task.coroutine = [body = task.blocking](const TaskContext& context, const json& args) -> awaitable<json> {
    co_return body(context, args);
  };
  task.instant = false;
  return task;
}

/// A task whose both forms are one function.
Task simple(const std::string& name, std::function<json(const TaskContext&, const json&)> body) {
  Task task;
  task.name = name;
  task.description = "for tests";
  task.blocking = std::move(body);
  return with_coroutine(std::move(task));
}

Task stubborn() {
  Task task = simple("stubborn", [](const TaskContext&, const json& args) -> json {
    std::this_thread::sleep_for(std::chrono::duration<double>(args.at("seconds").get<double>()));
    return "unmoved";
  });
  task.coroutine = [](const TaskContext&, const json& args) -> awaitable<json> {
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, from_seconds(args.at("seconds").get<double>()));
    co_await timer.async_wait(boost::asio::use_awaitable);
    co_return "unmoved";
  };
  return task;
}

json report(const TaskContext& context, const json&) {
  context.progress(0.25);
  context.progress(0.5, "half");
  return nullptr;
}

json flood(const TaskContext& context, const json& args) {
  const auto reports = args.at("reports").get<int>();
  for (int i = 1; i <= reports; ++i) context.progress(static_cast<double>(i) / reports);
  return nullptr;
}

json deep(const TaskContext&, const json& args) {
  json value = 0;
  for (int i = args.at("levels").get<int>(); i > 0; --i) value = json::array({std::move(value)});
  return value;
}

}  // namespace

void register_test_tasks(TaskRegistry& registry, bool on_io, bool instant) {
  std::vector<Task> all{tasks::sleep_task(),      tasks::digest_task(),   tasks::spin_task(),  stubborn(),
                        simple("report", report), simple("flood", flood), simple("deep", deep)};
  for (Task each : {tasks::echo_task(), tasks::fail_task()}) {
    all.push_back(instant ? std::move(each) : with_coroutine(std::move(each)));
  }
  all.push_back(simple("produce", [](const TaskContext&, const json& args) -> json {
    return std::string(args.at("bytes").get<std::size_t>() - 2, 'x');  // less the quotes
  }));
  all.push_back(simple("exit", [](const TaskContext&, const json&) -> json { ::_exit(3); }));
  all.push_back(simple("odd", [](const TaskContext&, const json&) -> json { throw 7; }));
  for (Task& task : all) {
    task.inline_coroutine = on_io;
    registry.add(std::move(task));
  }
}

}  // namespace stint::test
