// `stint channel`: bounded queues between jobs and scripts.
//
// An item is a string, a word or a line each; with --jsonl it is any JSON. What is got is printed a line each, strings as they
// are. Exits with 75 where the waiting timed out, and `get` with 1 where the channel is closed and empty.

#include <unistd.h>

#include <array>

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/spec_options.hpp"
#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"
#include "client/whole_input.hpp"
#include "common/protocol_toolbox.hpp"

namespace stint::cli {
namespace {

constexpr std::array<std::string_view, 6> channel_actions{"open", "put", "get", "close", "remove", "list"};
constexpr std::uint64_t usual_capacity = 1'000;

constexpr std::array channel_columns{
    Column{"NAME", [](const nlohmann::json& row) { return text_at(row, "name"); }},
    Column{"ITEMS", [](const nlohmann::json& row) { return text_at(row, "items"); }, nullptr, 0, true},
    Column{"CAPACITY", [](const nlohmann::json& row) { return text_at(row, "capacity"); }, nullptr, 0, true},
    Column{"PUTTING", [](const nlohmann::json& row) { return text_at(row, "putting"); }, nullptr, 0, true},
    Column{"GETTING", [](const nlohmann::json& row) { return text_at(row, "getting"); }, nullptr, 0, true},
    Column{"DURABLE", [](const nlohmann::json& row) { return text_at(row, "durable"); }},
    Column{"CLOSED", [](const nlohmann::json& row) { return text_at(row, "closed"); }},
};

class Channel : public Action {
 public:
  void declare(Options& options) override {
    options.heading("open");
    options.number("--capacity", capacity_, "items that it holds at most; default 1000", 1, limits::channel_items_max);
    options.flag("--durable", durable_, "it and its items survive a restart of the daemon");
    options.heading("put, get");
    options.duration("--timeout", timeout_, "wait no longer, 0 not at all; exits with 75 when it has passed");
    options.number("-n,--count", count_, "get: so many items at most", 1, limits::channel_get_items_max);
    options.heading("Items and output");
    form_.declare(options);
  }

  int run(const std::vector<std::string>& words) override {
    const std::string& action = action_of(words, channel_actions);
    if (action == "list") {
      require_no_words(std::span(words).subspan(1));
      return list();
    }
    if (words.size() < 2) throw UsageError("the channel's name is missing");
    const std::string& name = words[1];
    const auto rest = std::span(words).subspan(2);
    if (action == "put") return put(name, rest);
    require_no_words(rest);
    if (action == "get") return get(name);
    if (action == "open") {
      protocol::ChannelOpenRequest request{name, capacity_.value_or(usual_capacity), durable_};
      connect(target()).call("channel.open", json::encode_text(request));
    } else {
      connect(target()).call("channel." + action, json::encode_text(protocol::NameRequest{name}));
    }
    return exit_code::success;
  }

 private:
  int put(const std::string& name, std::span<const std::string> items) {
    Connection connection = connect(target());
    const auto put_one = [&](std::string_view text) {
      protocol::ChannelPutRequest request;
      request.name = name;
      if (form_.json || form_.jsonl) {
        request.item = parse_json(text, "the item");
      } else {
        if (!json::is_utf8(text)) throw UsageError("an item is not UTF-8, which the protocol needs");
        json::append_string(request.item.text, text);
      }
      request.timeout = timeout_;
      connection.call("channel.put", json::encode_text(request));
    };
    for (const std::string& item : items) put_one(item);
    if (!items.empty()) return exit_code::success;
    LineReader lines(STDIN_FILENO, limits::channel_item_bytes_max);
    while (const auto line = lines.next()) put_one(*line);
    return exit_code::success;
  }

  int get(const std::string& name) {
    const protocol::ChannelGetRequest request{name, count_.value_or(1), timeout_};
    const auto answer = connect(target()).call("channel.get", json::encode_text(request));
    if (form_.json || form_.format) {
      print_object(form_, answer);
    } else {
      for (const auto& item : field_at(answer, "items")) {
        print((item.is_string() && !form_.jsonl ? item.get<std::string>() : item.dump()) + "\n");
      }
    }
    if (!answer.value("closed", false)) return exit_code::success;
    if (!quiet()) note("the channel '" + printable(name) + "' is closed and empty");
    return exit_code::some_failed;
  }

  int list() {
    const auto answer = connect(target()).call("channel.list", "{}");
    Renderer renderer(form_, channel_columns, Renderer::Pace::paged, quiet());
    for (const auto& row : answer.at("channels")) renderer.add(row);
    renderer.finish();
    return exit_code::success;
  }

  std::optional<std::uint64_t> capacity_;
  std::optional<std::uint64_t> count_;
  std::optional<Duration> timeout_;
  bool durable_ = false;
  OutputForm form_;
};

}  // namespace

std::unique_ptr<Action> make_channel() { return std::make_unique<Channel>(); }

}  // namespace stint::cli
