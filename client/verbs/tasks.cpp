// `stint tasks`: the registered tasks.

#include <array>

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/verbs/actions.hpp"

namespace stint::cli {
namespace {

std::string task_name(const nlohmann::json& task) { return text_at(task, "name"); }
std::string description(const nlohmann::json& task) { return text_at(task, "description"); }

std::string executors(const nlohmann::json& task) {
  std::string text;
  for (const auto& executor : field_at(task, "executors")) {
    text += (text.empty() ? "" : ",") + (executor.is_string() ? executor.get<std::string>() : executor.dump());
  }
  return text;
}

std::string plugin(const nlohmann::json& task) { return text_at(task, "plugin"); }

/// "seconds, [step]": optional ones in brackets.
std::string parameters(const nlohmann::json& task) {
  std::string text;
  for (const auto& parameter : field_at(task, "parameters")) {
    const std::string word = text_at(parameter, "name");
    text += (text.empty() ? "" : ", ") + (parameter.value("required", false) ? word : "[" + word + "]");
  }
  return text;
}

constexpr std::array columns{Column{"TASK", task_name}, Column{"ON", executors}, Column{"PLUG-IN", plugin},
                             Column{"ARGUMENTS", parameters}, Column{"DESCRIPTION", description}};

class Tasks : public Action {
 public:
  void declare(Options& options) override { form_.declare(options); }

  int run(const std::vector<std::string>& words) override {
    require_no_words(words);
    const auto answer = connect(target()).call("task.list", "{}");
    const auto& tasks = answer.is_array() ? answer : field_at(answer, "tasks");
    Renderer renderer(form_, columns, Renderer::Pace::paged, quiet());
    for (const auto& task : tasks) renderer.add(task);
    renderer.finish();
    return exit_code::success;
  }

 private:
  OutputForm form_;
};

}  // namespace

std::unique_ptr<Action> make_tasks() { return std::make_unique<Tasks>(); }

}  // namespace stint::cli
