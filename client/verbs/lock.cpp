// `stint lock`: runs a program while it holds a lock. Exits with the program's code, 75 where the lock was not free in time.

#include "client/held_run.hpp"
#include "client/verbs/actions.hpp"

namespace stint::cli {
namespace {

class Lock : public Action {
 public:
  void declare(Options& options) override {
    options.heading("How long");
    options.duration("--timeout", timeout_, "wait no longer for the lock, 0 not at all; exits with 75 when it has passed");
  }

  int run(const std::vector<std::string>& words) override {
    if (words.empty()) throw UsageError("the lock's name is missing");
    if (words.size() < 2) throw UsageError("the program that runs with the lock is missing: put it behind --");
    HeldRun held{"lock.acquire", {{"name", words.front()}, {"owner", lease_owner()}}, {words.begin() + 1, words.end()}};
    if (timeout_) held.params["timeout"] = to_seconds(*timeout_);
    return run_holding(connect(target()), std::move(held));
  }

 private:
  std::optional<Duration> timeout_;
};

}  // namespace

std::unique_ptr<Action> make_lock() { return std::make_unique<Lock>(); }

}  // namespace stint::cli
