// `stint drain` and `stint undrain`: the daemon takes no new work, and takes it again.
//
// The drain is the daemon's: whoever leaves the waiting (a timeout, Ctrl-C) leaves it draining. Exits with 75 where jobs are
// left when the timeout has passed.

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"
#include "common/protocol.hpp"

namespace stint::cli {
namespace {

class Drain : public Action {
 public:
  void declare(Options& options) override {
    options.heading("What it waits for");
    options.flag("--queued", queued_, "run what is queued too; without it, nothing more starts");
    options.duration("--timeout", timeout_, "wait no longer, 0 not at all; exits with 75 where jobs are left then");
    options.heading("Output");
    options.flag("--json", json_, "the whole answer as JSON");
  }

  int run(const std::vector<std::string>& words) override {
    require_no_words(words);
    protocol::DrainRequest request;
    request.scope = queued_ ? DrainMode::queued : DrainMode::running;
    request.timeout = timeout_;
    Connection connection = connect(target());
    const auto answer = connection.call("daemon.drain", json::encode_text(request));
    const std::uint64_t left = number_at(answer, "count");
    if (json_) print_document(answer);
    if (!quiet()) {
      note((left == 0 ? std::string(queued_ ? "nothing is queued or runs" : "nothing runs")
                      : std::to_string(left) + " jobs are left") +
           "; the daemon takes no new work until: stint undrain");
    }
    return left == 0 ? exit_code::success : exit_code::try_again;
  }

 private:
  bool queued_ = false;
  bool json_ = false;
  std::optional<Duration> timeout_;
};

class Undrain : public Action {
 public:
  void declare(Options&) override {}

  int run(const std::vector<std::string>& words) override {
    require_no_words(words);
    connect(target()).call("daemon.undrain", "{}");
    return exit_code::success;
  }
};

}  // namespace

std::unique_ptr<Action> make_drain() { return std::make_unique<Drain>(); }
std::unique_ptr<Action> make_undrain() { return std::make_unique<Undrain>(); }

}  // namespace stint::cli
