// `stint shutdown`: stops the daemon and waits until it is gone.

#include "client/record.hpp"
#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"
#include "common/protocol.hpp"

namespace stint::cli {
namespace {

class Shutdown : public Action {
 public:
  void declare(Options& options) override {
    options.heading("How");
    options.choice("--jobs", jobs_,
                   "detach (default): programs go on and the next daemon takes them over, tasks are stopped; drain: finish what "
                   "is there, take nothing new; cancel: stop it",
                   json::EnumNames<ShutdownMode>::names);
    options.flag("--no-wait", no_wait_, "do not wait until it is gone");
  }

  int run(const std::vector<std::string>& words) override {
    require_no_words(words);
    Connection connection = connect(target());
    const auto info = connection.call("daemon.info", "{}");
    protocol::ShutdownRequest request;
    if (jobs_) request.jobs = *json::enum_value<ShutdownMode>(*jobs_);
    bool answered = false;
    connection.request("daemon.shutdown", R"({"jobs":")" + std::string(json::enum_name(request.jobs)) + "\"}",
                       [&answered](const nlohmann::json&) { answered = true; });
    try {
      while (!answered) connection.pump();
      if (no_wait_) return exit_code::success;
      if (!quiet() && request.jobs == ShutdownMode::drain) announce(connection);
      while (true) connection.pump();
    } catch (const ConnectionLost&) {
      if (quiet()) return exit_code::success;
      const bool detached = request.jobs == ShutdownMode::detach;
      note("the daemon (pid " + text_at(info, "pid") + ") has stopped" +
           (detached ? "; the next one goes on with its unfinished jobs" : ""));
    }
    return exit_code::success;
  }

 private:
  static void announce(Connection& connection) {
    protocol::ListRequest request;
    request.state = State::running;
    const auto page = connection.call("job.list", json::encode_text(request));
    const auto running = page.at("jobs").size();
    if (running == 0) return;
    note("waiting for " + std::to_string(running) + (page.contains("next") ? " or more" : "") +
         " running jobs and what is queued; to stop them: stint shutdown --jobs cancel");
  }

  std::optional<std::string> jobs_;
  bool no_wait_ = false;
};

}  // namespace

std::unique_ptr<Action> make_shutdown() { return std::make_unique<Shutdown>(); }

}  // namespace stint::cli
