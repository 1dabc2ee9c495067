// `stint forget`: drops finished records and their output.

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"
#include "common/protocol.hpp"

namespace stint::cli {
namespace {

class Forget : public Action {
 public:
  void declare(Options& options) override {
    options.heading("Which");
    options.text("--group", group_, "what has finished of this group", "NAME");
    options.duration("--older-than", older_than_, "what finished longer ago than this");
    form_.declare(options);
  }

  int run(const std::vector<std::string>& words) override {
    const int ways = int(!words.empty()) + int(group_.has_value()) + int(older_than_.has_value());
    if (ways != 1) throw UsageError("one of: ids, --group NAME, --older-than TIME");
    protocol::ForgetRequest request;
    if (!words.empty()) request.ids = ids_of(words);
    request.group = group_;
    request.older_than = older_than_;
    const auto answer = connect(target()).call("job.forget", json::encode_text(request));
    if (form_.chosen()) {
      print_object(form_, answer);
    } else if (!quiet()) {
      print(text_at(answer, "forgotten") + " forgotten\n");
    }
    return exit_code::success;
  }

 private:
  std::optional<std::string> group_;
  std::optional<Duration> older_than_;
  OutputForm form_;
};

}  // namespace

std::unique_ptr<Action> make_forget() { return std::make_unique<Forget>(); }

}  // namespace stint::cli
