#include "daemon/exec/host_executor.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>

#include "common/json.hpp"
#include "common/protocol.hpp"
#include "common/shared_payload.hpp"

namespace stint::exec {
namespace {

using host_protocol::Payload;

constexpr int spawn_attempts_max = 5;  // in a row; then the tasks that wait are told
constexpr std::chrono::milliseconds spawn_retry_first{100};

/// Where a payload is large its way to or from memory is not gone on the I/O thread.
bool is_large(std::size_t bytes) { return bytes >= limits::shared_payload_bytes_min; }

std::string death_text(int wait_status) {
  if (WIFSIGNALED(wait_status)) return "was killed by " + protocol::signal_name(WTERMSIG(wait_status));
  return "exited with status " + std::to_string(WEXITSTATUS(wait_status));
}

/// `text` as a result, once it is known to be JSON.
TaskEnding checked_result(std::string text) {
  try {
    json::Parser parser;
    static_cast<void>(parser.parse_copy(text));
    return EndReport::Returned{json::Raw{std::move(text)}};
  } catch (const Error& error) {
    return task_failed("crashed", "the host process sent a result that is not JSON: " + error.message());
  }
}

TaskEnding result_of(const UniqueFd& file, std::uint64_t size_bytes) {
  try {
    const SharedPayload payload(file, size_bytes, limits::result_bytes_max);
    return checked_result(std::string(payload.bytes()));
  } catch (const Error& error) {
    return task_failed("crashed", "the host process's result cannot be read: " + error.message());
  }
}

}  // namespace

HostExecutor::HostExecutor(boost::asio::io_context& io, Workers& workers, Observer& observer, const TaskRegistry& tasks,
                           std::size_t hosts, Offload offload)
    : TaskExecutor(io, observer, tasks),
      workers_(workers),
      hosts_max_(std::max<std::size_t>(hosts, 1)),
      offload_(std::move(offload)),
      retry_timer_(io) {}

HostExecutor::~HostExecutor() {
  *here_ = false;
  for (const auto& [name, host] : hosts_) host->link->close();
}

HostExecutor::RunPtr HostExecutor::make_run(Order order, const Task* task) const {
  return std::make_shared<Run>(std::move(order), task);
}

void HostExecutor::launch(const RunPtr& run) {
  waiting_.push_back(std::static_pointer_cast<Run>(run));
  serve();
}

void HostExecutor::serve() {
  for (const auto& [name, host] : hosts_) {
    if (waiting_.empty()) return;
    if (host->run || host->closed) continue;
    const HostRunPtr run = std::move(waiting_.front());
    waiting_.pop_front();
    assign(host, run);
  }
  const auto living =
      static_cast<std::size_t>(std::ranges::count_if(hosts_, [](const auto& entry) { return !entry.second->closed; }));
  if (retrying_ || closing()) return;
  for (std::size_t i = living + spawning_; i < hosts_max_ && spawning_ < waiting_.size(); ++i) spawn();
}

void HostExecutor::spawn() {
  ++spawning_;
  workers_.spawn(WorkerKind::host, [this, here = here_](const std::optional<Error>& error, Worker worker) {
    if (*here) on_spawned(error, std::move(worker));
  });
}

void HostExecutor::on_spawned(const std::optional<Error>& error, Worker worker) {
  --spawning_;
  if (error) {
    on_spawn_failed(*error);
    return;
  }
  spawn_failures_ = 0;
  const auto host = std::make_shared<Host>();
  host->link = std::make_shared<HostLink>(io(), std::move(worker));
  hosts_.emplace(host->link->name(), host);
  // Weak, because the link lives in the host.
  const std::weak_ptr<Host> weak = host;
  host->link->open(
      [this, weak](host_protocol::Frame frame, UniqueFd attached) {
        if (const HostPtr its = weak.lock()) on_frame(its, std::move(frame), std::move(attached));
      },
      [this, weak] {
        if (const HostPtr its = weak.lock()) on_closed(its);
      });
  workers_.on_death(host->link->name(), [this, host, here = here_](const WorkerDeath& death) {
    if (*here) on_death(host, death);
  });
  if (released_) {
    host->link->close();
    host->closed = true;
  }
  serve();
}

void HostExecutor::on_spawn_failed(const Error& error) {
  if (closing()) {
    look_for_release();
    return;
  }
  if (++spawn_failures_ >= spawn_attempts_max && hosts_.empty()) {
    spawn_failures_ = 0;
    for (const HostRunPtr& run : std::exchange(waiting_, {})) {
      ended(run, task_failed("spawn", "no host process could be started: " + error.message()), wall_now());
    }
    return;
  }
  if (std::exchange(retrying_, true)) return;
  retry_timer_.expires_after(spawn_retry_first * (1 << std::min(spawn_failures_, spawn_attempts_max)));
  retry_timer_.async_wait([this, here = here_](const boost::system::error_code& cancelled) {
    if (cancelled || !*here) return;
    retrying_ = false;
    serve();
  });
}

void HostExecutor::assign(const HostPtr& host, const HostRunPtr& run) {
  host->run = run;
  run->link = host->link.get();
  const std::string_view args = run->args_text();
  if (!is_large(args.size())) {
    Payload payload;
    if (!args.empty()) payload = {Payload::Kind::inlined, std::string(args), 0};
    send_run(host, run, std::move(payload), {});
    return;
  }
  struct Shared {
    UniqueFd file;
    std::optional<Error> error;
  };
  const auto shared = std::make_shared<Shared>();
  offload_(
      [shared, run] {
        try {
          shared->file = share_payload(run->args_text());
        } catch (const Error& error) {
          shared->error = error;
        }
      },
      [this, shared, host, run, here = here_] {
        if (!*here || host->run != run) return;  // the host died meanwhile, and the run with it
        if (shared->error) {
          finish(host, task_failed("memory", shared->error->message()));
        } else if (run->asked) {
          finish(host, task_failed("stopped", "the task was stopped before it began"));
        } else {
          send_run(host, run, {Payload::Kind::shared, {}, run->args_text().size()}, std::move(shared->file));
        }
      });
}

void HostExecutor::send_run(const HostPtr& host, const HostRunPtr& run, Payload args, UniqueFd file) {
  host_protocol::Run frame;
  frame.job = run->order.id;
  frame.attempt = run->order.attempt;
  const Time now = wall_now();
  if (run->order.spec->timeout) frame.deadline = now + *run->order.spec->timeout;
  frame.task = run->task->name;
  if (run->task->plugin) frame.plugin = *run->task->plugin;
  frame.args = std::move(args);
  host->link->send(frame, std::move(file));
  began(run, {now, host->link->name(), {}});
}

void HostExecutor::on_frame(const HostPtr& host, host_protocol::Frame frame, UniqueFd attached) {
  const HostRunPtr run = host->run;
  const bool is_its_run = std::visit(
      [&run](const auto& kind) { return run && kind.job == run->order.id && kind.attempt == run->order.attempt; }, frame);
  auto* progress = std::get_if<host_protocol::Progress>(&frame);
  auto* returned = std::get_if<host_protocol::Returned>(&frame);
  auto* failed = std::get_if<host_protocol::Failed>(&frame);
  if (is_its_run && progress != nullptr) {
    if (run->progress.set(progress->value, std::move(progress->text))) progressed(run);
  } else if (is_its_run && returned != nullptr) {
    on_returned(host, std::move(*returned), std::move(attached));
  } else if (is_its_run && failed != nullptr) {
    finish(host, EndReport::Failed{std::move(failed->error), {}});
  } else {
    host->link->kill();  // it speaks of what it was never given, or what only the daemon says
  }
}

void HostExecutor::on_returned(const HostPtr& host, host_protocol::Returned frame, UniqueFd attached) {
  if (frame.result.kind == Payload::Kind::inlined) {
    finish(host, checked_result(std::move(frame.result.text)));
    return;
  }
  // The run has left its host, which may serve the next or die; it ends when its result is read.
  const HostRunPtr run = std::exchange(host->run, nullptr);
  run->link = nullptr;
  const auto ending = std::make_shared<TaskEnding>();
  const auto file = std::make_shared<UniqueFd>(std::move(attached));
  offload_([ending, file, size = frame.result.size_bytes] { *ending = result_of(*file, size); },
           [this, run, ending, here = here_, at = wall_now()] {
             if (*here) ended(run, std::move(*ending), at);
           });
  serve();
}

void HostExecutor::finish(const HostPtr& host, TaskEnding ending) {
  const HostRunPtr run = std::exchange(host->run, nullptr);
  run->link = nullptr;
  ended(run, std::move(ending), wall_now());
  serve();
}

void HostExecutor::ask_to_stop(const RunPtr& run) {
  const auto its = std::static_pointer_cast<Run>(run);
  if (its->link != nullptr) {
    if (its->forced) {
      its->link->kill();
    } else {
      its->link->send(host_protocol::Stop{its->order.id, its->order.attempt});
    }
    return;
  }
  if (std::erase(waiting_, its) == 0) return;  // it has ended already, only its result is still being read
  post([this, its] { ended(its, task_failed("stopped", "the task was stopped before it began"), wall_now()); });
}

void HostExecutor::on_grace_over(const RunPtr& run) {
  if (HostLink* link = static_cast<Run&>(*run).link) link->kill();
}

void HostExecutor::on_closed(const HostPtr& host) { host->closed = true; }

void HostExecutor::on_death(const HostPtr& host, const WorkerDeath& death) {
  if (!host->closed) host->link->drain();  // it may have answered before it died
  host->closed = true;
  host->link->close();
  hosts_.erase(death.name);
  if (const HostRunPtr run = std::exchange(host->run, nullptr)) {
    run->link = nullptr;
    if (run->asked && WIFSIGNALED(death.wait_status) && WTERMSIG(death.wait_status) == SIGKILL) {
      ended(run, task_failed("killed", "the task did not stop within its grace, so its host process was killed"), wall_now());
    } else {
      ended(run, task_failed("crashed", "the host process that ran the task " + death_text(death.wait_status)), wall_now());
    }
  }
  if (released_) {
    look_for_release();
  } else {
    serve();
  }
}

void HostExecutor::release(std::function<void()> done) {
  retry_timer_.cancel();
  released_ = std::move(done);
  for (const auto& [name, host] : hosts_) {
    host->closed = true;
    host->link->close();
  }
  look_for_release();
}

void HostExecutor::look_for_release() {
  if (!released_ || !hosts_.empty() || spawning_ > 0) return;
  const auto done = std::exchange(released_, nullptr);
  done();
}

}  // namespace stint::exec
