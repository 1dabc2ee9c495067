// `stint wait`: `id code` lines as jobs finish, and the code.

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/result_stream.hpp"
#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"

namespace stint::cli {
namespace {

class Wait : public Action {
 public:
  void declare(Options& options) override {
    options.heading("Which");
    options.text("--group", group_, "all jobs of this group", "NAME");
    options.heading("How long");
    options.flag("--any", any_, "until the first has finished");
    options.flag("--fail-fast", fail_fast_, "until one has failed; exits with its code");
    options.duration("--timeout", timeout_, "wait no longer; exits with 75 when it has passed");
    options.exclusive({"--any", "--fail-fast"});
    form_.declare(options);
  }

  int run(const std::vector<std::string>& words) override {
    require_ids_or_group(!words.empty(), group_.has_value());
    protocol::ResultsRequest request;
    if (!words.empty()) request.ids = ids_of(words);
    request.group = group_;
    request.since = 0;
    request.timeout = timeout_;
    Renderer renderer(form_, result_columns(), Renderer::Pace::live, false);
    ResultStream stream(connect(target()), std::move(request));
    const std::string reason = stream.run([&](const nlohmann::json& record) {
      const int code = exit_code_of(record);
      ++count_;
      last_code_ = code;
      failed_ = failed_ || code != exit_code::success;
      if (form_.chosen()) {
        renderer.add(record);
      } else if (!quiet()) {
        print(text_at(record, "id") + " " + std::to_string(code) + "\n");
      }
      return !any_ && !(fail_fast_ && code != exit_code::success);
    });
    if (form_.chosen()) renderer.finish();
    if (reason == "timed_out") {
      if (!quiet()) note("the waiting timed out; what has not finished goes on");
      return exit_code::try_again;
    }
    const bool one = count_ == 1 && (words.size() == 1 || any_);
    if (one || (fail_fast_ && failed_)) return last_code_;
    return failed_ ? exit_code::some_failed : exit_code::success;
  }

 private:
  std::optional<std::string> group_;
  std::optional<Duration> timeout_;
  OutputForm form_;
  bool any_ = false;
  bool fail_fast_ = false;
  bool failed_ = false;
  int last_code_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace

std::unique_ptr<Action> make_wait() { return std::make_unique<Wait>(); }

}  // namespace stint::cli
