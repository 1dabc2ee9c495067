// spin: keeps a processor busy for a time or for a number of rounds; for tests and benches.
//
// It looks at the stop token and reports its progress about every millisecond; the coroutine form gives way then.
// Throws TaskError `invalid_args`, `stopped`.
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "common/limits.hpp"
#include "daemon/tasks/builtin.hpp"

namespace stint::tasks {
namespace {

constexpr std::uint64_t slice_rounds = 1'000'000;  // of the multiplication below: about a millisecond

class Spin {
 public:
  Spin(const TaskContext& context, const nlohmann::json& args) : context_(context), begun_(Clock::now()) {
    const bool timed = args.is_object() && args.contains("seconds");
    const bool counted = args.is_object() && args.contains("iterations");
    if (timed == counted) throw TaskError("invalid_args", "give either 'seconds' or 'iterations'");
    if (counted) {
      rounds_max_ = task_argument<std::uint64_t>(args, "iterations");
      return;
    }
    seconds_max_ = task_argument<double>(args, "seconds");
    if (!(seconds_max_ >= 0 && seconds_max_ <= limits::duration_seconds_max)) {
      throw TaskError("invalid_args", "argument 'seconds' is out of range");
    }
  }

  /// A slice of work; false at the end.
  bool step() {
    if (context_.stop.stop_requested()) throw TaskError("stopped", "the task was stopped");
    const std::uint64_t slice = std::min(slice_rounds, rounds_max_ - rounds_);
    for (std::uint64_t i = 0; i < slice; ++i) value_ = value_ * 6364136223846793005ULL + 1442695040888963407ULL;
    rounds_ += slice;
    seconds_ = std::chrono::duration<double>(Clock::now() - begun_).count();
    if (rounds_ >= rounds_max_ || seconds_ >= seconds_max_) return false;
    context_.progress(std::max(seconds_ / seconds_max_, static_cast<double>(rounds_) / static_cast<double>(rounds_max_)));
    return true;
  }
  /// `check` depends on every round, so that no compiler leaves one out.
  [[nodiscard]] nlohmann::json result() const { return {{"iterations", rounds_}, {"seconds", seconds_}, {"check", value_}}; }

 private:
  using Clock = std::chrono::steady_clock;

  const TaskContext& context_;
  Clock::time_point begun_;
  double seconds_max_ = limits::duration_seconds_max;
  std::uint64_t rounds_max_ = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t rounds_ = 0;
  std::uint64_t value_ = 1;
  double seconds_ = 0;
};

nlohmann::json spin_blocking(const TaskContext& context, const nlohmann::json& args) {
  Spin spin(context, args);
  while (spin.step()) {
  }
  return spin.result();
}

boost::asio::awaitable<nlohmann::json> spin_coroutine(const TaskContext& context, const nlohmann::json& args) {
  Spin spin(context, args);
  const auto executor = co_await boost::asio::this_coro::executor;
  while (spin.step()) co_await boost::asio::post(executor, boost::asio::use_awaitable);
  co_return spin.result();
}

}  // namespace

Task spin_task() {
  Task task;
  task.name = "spin";
  task.description = "keeps a processor busy";
  task.parameters = {{"seconds", "number", "for so long", false}, {"iterations", "integer", "or for so many rounds", false}};
  task.blocking = spin_blocking;
  task.coroutine = spin_coroutine;
  return task;
}

}  // namespace stint::tasks
