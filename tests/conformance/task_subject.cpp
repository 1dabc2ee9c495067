#include "tests/conformance/task_subject.hpp"

#include <nlohmann/json.hpp>

#include "daemon/exec/coroutine_executor.hpp"
#include "daemon/exec/host_executor.hpp"
#include "tests/conformance/test_tasks.hpp"

namespace stint::test {
namespace {

constexpr std::size_t threads = 6;
constexpr std::size_t hosts = 6;

}  // namespace

JobSpec task_job(const std::string& task, std::string args) {
  JobSpec spec;
  spec.task = task;
  if (!args.empty()) spec.args = json::Raw{std::move(args)};
  return spec;
}

TaskSubject::TaskSubject(TaskPlace place, boost::asio::io_context& io, exec::Observer& observer) : place_(place) {
  register_test_tasks(tasks_, place == TaskPlace::coroutine_inline, place == TaskPlace::coroutine_instant);
  switch (place) {
    case TaskPlace::thread: executor_ = std::make_unique<exec::ThreadExecutor>(io, observer, tasks_, threads); break;
    case TaskPlace::coroutine_instant:
    case TaskPlace::coroutine_inline:
    case TaskPlace::coroutine_second: executor_ = std::make_unique<exec::CoroutineExecutor>(io, observer, tasks_); break;
    case TaskPlace::host:
      workers_ = std::make_unique<SpawnedWorkers>(io, STINT_TEST_HOST);
      helper_ = std::make_unique<exec::ThreadExecutor>(io, observer, tasks_, 1);
      executor_ = std::make_unique<exec::HostExecutor>(
          io, *workers_, observer, tasks_, hosts,
          [this](std::function<void()> work, std::function<void()> done) { helper_->offload(std::move(work), std::move(done)); });
      break;
  }
}

TaskSubject::~TaskSubject() = default;

void TaskSubject::release(std::function<void()> done) {
  if (place_ != TaskPlace::host) {
    done();
    return;
  }
  helper_->close([this, done = std::move(done)] { workers_->close(done); });
}

std::size_t TaskSubject::slots() const {
  switch (place_) {
    case TaskPlace::thread: return threads;
    case TaskPlace::host: return hosts;
    default: return 10'000;
  }
}

JobSpec TaskSubject::says(const std::string& text) const { return task_job("echo", nlohmann::json(text).dump()); }

std::string TaskSubject::said(const EndReport& end) const {
  const auto* returned = std::get_if<EndReport::Returned>(&end.ending);
  return returned != nullptr ? json::to_nlohmann(returned->result).get<std::string>() : "(nothing was returned)";
}

JobSpec TaskSubject::fails() const { return task_job("fail", R"({"message": "no luck", "kind": "luck"})"); }
JobSpec TaskSubject::sleeps(double seconds) const { return task_job("sleep", std::to_string(seconds)); }
JobSpec TaskSubject::ignores_stop(double seconds) const {
  return task_job("stubborn", R"({"seconds": )" + std::to_string(seconds) + "}");
}
JobSpec TaskSubject::produces(std::size_t bytes) const {
  return task_job("produce", R"({"bytes": )" + std::to_string(bytes) + "}");
}
std::size_t TaskSubject::produced(const EndReport& end) const {
  const auto* returned = std::get_if<EndReport::Returned>(&end.ending);
  return returned != nullptr ? returned->result.text.size() : 0;
}
std::optional<JobSpec> TaskSubject::crashes() const {
  if (!isolated()) return std::nullopt;
  return task_job("fail", R"({"crash": true})");
}
std::optional<JobSpec> TaskSubject::reports() const { return task_job("report"); }

std::vector<SubjectMaker> task_subjects() {
  const auto maker = [](std::string name, TaskPlace place) {
    return SubjectMaker{std::move(name), [place](boost::asio::io_context& io, exec::Observer& observer) {
                          return std::make_unique<TaskSubject>(place, io, observer);
                        }};
  };
  return {maker("thread", TaskPlace::thread), maker("coroutine_instant", TaskPlace::coroutine_instant),
          maker("coroutine_inline", TaskPlace::coroutine_inline), maker("coroutine_second", TaskPlace::coroutine_second),
          maker("host", TaskPlace::host)};
}

}  // namespace stint::test
