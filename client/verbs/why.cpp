// `stint why`: the exact reasons why a job does not run.

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"

namespace stint::cli {
namespace {

/// "slots: lane program, 12 ahead"
std::string sentence(const nlohmann::json& reason) {
  std::string text = text_at(reason, "kind");
  std::string details;
  for (const auto& [key, value] : reason.items()) {
    if (key == "kind" || key == "ahead") continue;
    details += (details.empty() ? " " : ", ") + key + " " + (value.is_string() ? value.get<std::string>() : value.dump());
  }
  if (!details.empty()) text += ":" + details;
  if (reason.contains("ahead")) text += ", " + text_at(reason, "ahead") + " ahead";
  return printable(text);
}

class Why : public Action {
 public:
  void declare(Options& options) override { form_.declare(options); }

  int run(const std::vector<std::string>& words) override {
    const std::string params = R"({"id":)" + std::to_string(id_of(words)) + "}";
    Connection connection = connect(target());
    const auto answer = connection.call("job.why", params);
    if (form_.chosen()) {
      print_object(form_, answer);
      return exit_code::success;
    }
    const auto& reasons = answer.is_array() ? answer : field_at(answer, "reasons");
    if (!reasons.is_array() || reasons.empty()) {
      const auto record = connection.call("job.get", params);
      const bool finished = text_at(record, "state") == "finished";
      print("it " + std::string(finished ? "has finished: " + ending_of(record) : "is " + status_of(record)) + "\n");
      return exit_code::success;
    }
    for (const auto& reason : reasons) print(sentence(reason) + "\n");
    return exit_code::success;
  }

 private:
  OutputForm form_;
};

}  // namespace

std::unique_ptr<Action> make_why() { return std::make_unique<Why>(); }

}  // namespace stint::cli
