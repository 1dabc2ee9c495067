// `stint event`: named flags. `wait` exits with 75 where the event was not set in time.

#include <array>

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/verbs/actions.hpp"
#include "common/protocol_toolbox.hpp"

namespace stint::cli {
namespace {

constexpr std::array<std::string_view, 4> event_actions{"set", "clear", "wait", "list"};

constexpr std::array event_columns{
    Column{"NAME", [](const nlohmann::json& row) { return text_at(row, "name"); }},
    Column{"SET", [](const nlohmann::json& row) { return text_at(row, "set"); }},
    Column{"WAITING", [](const nlohmann::json& row) { return text_at(row, "waiting"); }, nullptr, 0, true},
};

class Event : public Action {
 public:
  void declare(Options& options) override {
    options.heading("wait");
    options.duration("--timeout", timeout_, "wait no longer, 0 not at all; exits with 75 when it has passed");
    options.heading("list");
    form_.declare(options);
  }

  int run(const std::vector<std::string>& words) override {
    const std::string& action = action_of(words, event_actions);
    if (action == "list") {
      require_no_words(std::span(words).subspan(1));
      return list();
    }
    if (words.size() < 2) throw UsageError("the event's name is missing");
    require_no_words(std::span(words).subspan(2));
    Connection connection = connect(target());
    if (action == "wait") {
      return wait(connection, words[1]);
    } else {
      connection.call("event." + action, json::encode_text(protocol::NameRequest{words[1]}));
    }
    return exit_code::success;
  }

 private:
  int wait(Connection& connection, const std::string& name) const {
    try {
      connection.call("event.wait", json::encode_text(protocol::EventWaitRequest{name, timeout_}));
    } catch (const RpcError& error) {
      if (!quiet() || error.kind() != "timed_out") throw;
      return exit_code::try_again;  // asked again and again, it is not set: no news
    }
    return exit_code::success;
  }

  int list() {
    const auto answer = connect(target()).call("event.list", "{}");
    Renderer renderer(form_, event_columns, Renderer::Pace::paged, quiet());
    for (const auto& row : answer.at("events")) renderer.add(row);
    renderer.finish();
    return exit_code::success;
  }

  std::optional<Duration> timeout_;
  OutputForm form_;
};

}  // namespace

std::unique_ptr<Action> make_event() { return std::make_unique<Event>(); }

}  // namespace stint::cli
