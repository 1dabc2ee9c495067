// `stint call`: any method of the protocol, for scripts and for looking into things.

#include <unistd.h>

#include <optional>

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/spec_options.hpp"
#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"
#include "client/whole_input.hpp"

namespace stint::cli {
namespace {

class Call : public Action {
 public:
  void declare(Options& options) override { form_.declare(options); }

  int run(const std::vector<std::string>& words) override {
    if (words.empty() || words.size() > 2) throw UsageError("a method, and its parameters as one JSON object or -");
    std::string params = "{}";
    if (words.size() == 2) {
      const std::string text = words[1] == "-" ? read_whole(STDIN_FILENO, limits::line_bytes_max) : words[1];
      params = parse_json(text, "the parameters").text;
    }
    Connection connection = connect(target());
    std::optional<nlohmann::json> answer;
    std::optional<nlohmann::json> end;
    Connection::StreamHandler handler;
    handler.on_item = [](const nlohmann::json& item) { print(item.dump() + "\n"); };
    handler.on_end = [&end](const nlohmann::json& params_of_end) { end = params_of_end; };
    connection.open_stream(words[0], params, std::move(handler), {},
                           [&answer](const nlohmann::json& result) { answer = result; });
    while (!answer) connection.pump();
    if (!is_stream(*answer)) {
      if (form_.chosen()) {
        print_object(form_, *answer);
      } else {
        print_document(*answer);
      }
      return exit_code::success;
    }
    while (!end) connection.pump();
    const std::string reason = text_at(*end, "reason");
    if (reason == "complete") return exit_code::success;
    if (!quiet()) note("the stream ended: " + reason + " " + text_at(*end, "error.message"));
    return reason == "timed_out" || reason == "draining" ? exit_code::try_again : exit_code::not_finished;
  }

 private:
  static bool is_stream(const nlohmann::json& answer) {
    return answer.is_object() && answer.size() == 1 && answer.contains("stream");
  }
  OutputForm form_;
};

}  // namespace

std::unique_ptr<Action> make_call() { return std::make_unique<Call>(); }

}  // namespace stint::cli
