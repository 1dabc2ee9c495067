// `stint cancel`: queued jobs never start, running ones are stopped.

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"
#include "common/protocol.hpp"

namespace stint::cli {
namespace {

class Cancel : public Action {
 public:
  void declare(Options& options) override {
    options.heading("Which and how");
    options.text("--group", group_, "all of this group", "NAME");
    options.flag("--force", force_, "SIGKILL at once, without grace");
    form_.declare(options);
  }

  int run(const std::vector<std::string>& words) override {
    require_ids_or_group(!words.empty(), group_.has_value());
    protocol::CancelRequest request;
    if (!words.empty()) request.ids = ids_of(words);
    request.group = group_;
    request.force = force_;
    const auto answer = connect(target()).call("job.cancel", json::encode_text(request));
    if (form_.chosen()) {
      print_object(form_, answer);
    } else if (!quiet()) {
      std::string text;
      add(text, answer, "cancelled", "cancelled");
      add(text, answer, "stopping", "told to stop");
      add(text, answer, "already_finished", "finished before");
      print((text.empty() ? "no unfinished job" : text) + "\n");
    }
    return exit_code::success;
  }

 private:
  /// "2 cancelled (17 18)"
  static void add(std::string& text, const nlohmann::json& answer, const char* key, const char* words) {
    constexpr std::size_t named_max = 5;
    const auto& ids = field_at(answer, key);
    if (!ids.is_array() || ids.empty()) return;
    if (!text.empty()) text += ", ";
    text += std::to_string(ids.size()) + " " + words;
    if (ids.size() > named_max) return;
    std::string list;
    for (const auto& id : ids) list += (list.empty() ? "" : " ") + id.dump();
    text += " (" + list + ")";
  }

  std::optional<std::string> group_;
  bool force_ = false;
  OutputForm form_;
};

}  // namespace

std::unique_ptr<Action> make_cancel() { return std::make_unique<Cancel>(); }

}  // namespace stint::cli
