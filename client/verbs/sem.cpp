// `stint sem`: sizes of semaphores, a program that runs while it holds permits, and who holds what, of locks too.

#include <array>
#include <charconv>

#include "client/held_run.hpp"
#include "client/record.hpp"
#include "client/render.hpp"
#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"
#include "common/protocol_toolbox.hpp"

namespace stint::cli {
namespace {

constexpr std::array<std::string_view, 3> sem_actions{"set", "acquire", "list"};

constexpr std::array sem_columns{
    Column{"NAME", [](const nlohmann::json& row) { return text_at(row, "name"); }},
    Column{"PERMITS", [](const nlohmann::json& row) { return text_at(row, "permits"); }, nullptr, 0, true},
    Column{"USED", [](const nlohmann::json& row) { return text_at(row, "used"); }, nullptr, 0, true},
    Column{"WAITING", [](const nlohmann::json& row) { return text_at(row, "waiting"); }, nullptr, 0, true},
};

class Sem : public Action {
 public:
  void declare(Options& options) override {
    options.heading("acquire");
    options.number("-n,--permits", permits_, "so many at once; default 1", 1, limits::permits_max);
    options.duration("--timeout", timeout_, "wait no longer for them, 0 not at all; exits with 75 when it has passed");
    options.heading("list");
    options.flag("--locks", locks_, "locks instead of semaphores");
    form_.declare(options);
  }

  int run(const std::vector<std::string>& words) override {
    const std::string& action = action_of(words, sem_actions);
    if (action == "list") {
      require_no_words(std::span(words).subspan(1));
      return list();
    }
    if (words.size() < 2) throw UsageError("the semaphore's name is missing");
    if (action == "set") return set(std::span(words).subspan(1));
    HeldRun held{"semaphore.acquire",
                 {{"name", words[1]}, {"permits", permits_.value_or(1)}, {"owner", lease_owner()}},
                 {words.begin() + 2, words.end()}};
    if (held.command.empty()) throw UsageError("the program that runs with the permits is missing: put it behind --");
    if (timeout_) held.params["timeout"] = to_seconds(*timeout_);
    return run_holding(connect(target()), std::move(held));
  }

 private:
  int set(std::span<const std::string> words) {
    if (words.size() != 2) throw UsageError("a semaphore's name and its size");
    const std::string& text = words[1];
    protocol::SemaphoreSetRequest request{words[0], 0};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), request.permits);
    if (error != std::errc{} || end != text.data() + text.size()) {
      throw UsageError("'" + printable(text) + "' is not a number of permits");
    }
    connect(target()).call("semaphore.set", json::encode_text(request));
    return exit_code::success;
  }

  int list() {
    const auto answer = connect(target()).call(locks_ ? "lock.list" : "semaphore.list", "{}");
    Renderer renderer(form_, sem_columns, Renderer::Pace::paged, quiet());
    for (const auto& row : answer.at(locks_ ? "locks" : "semaphores")) renderer.add(row);
    renderer.finish();
    return exit_code::success;
  }

  std::optional<std::uint64_t> permits_;
  std::optional<Duration> timeout_;
  bool locks_ = false;
  OutputForm form_;
};

}  // namespace

std::unique_ptr<Action> make_sem() { return std::make_unique<Sem>(); }

}  // namespace stint::cli
