// `stint results`: records as jobs finish, or with --output what they wrote.

#include <csignal>

#include "client/record.hpp"
#include "client/record_output.hpp"
#include "client/render.hpp"
#include "client/result_stream.hpp"
#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"

namespace stint::cli {
namespace {

class Results : public Action {
 public:
  void declare(Options& options) override {
    options.heading("Which");
    options.text("--group", group_, "of this group", "NAME");
    options.number("--since", since_, "only results after this seq (`seq` of a record)", 0, limits::id_max);
    options.duration("--timeout", timeout_, "wait no longer; exits with 75 when it has passed");
    options.heading("How");
    options.flag("-k,--keep-order", keep_order_, "in the order of submission");
    options.flag("-o,--output", output_, "what the jobs wrote, each whole, instead of a line a job");
    form_.declare(options);
  }

  int run(const std::vector<std::string>& words) override {
    if (!words.empty() && group_) throw UsageError("ids or --group, not both");
    protocol::ResultsRequest request;
    if (!words.empty()) request.ids = ids_of(words);
    request.group = group_;
    request.since = since_;
    request.order = keep_order_ ? Order::submission : Order::completion;
    request.output = output_ || (form_.format && form_.format->find(".data") != std::string::npos);
    request.timeout = timeout_;
    Renderer renderer(form_, result_columns(), Renderer::Pace::live, quiet());
    Connection connection = connect(target());
    const std::string path = connection.path();
    ResultStream stream(std::move(connection), std::move(request));
    RecordOutput printer(path, quiet(), exit_code::no_daemon, stream.interrupts());
    bool all_succeeded = true;
    const std::string reason = stream.run([&](const nlohmann::json& record) {
      all_succeeded = all_succeeded && exit_code_of(record) == exit_code::success;
      if (output_ && !form_.chosen()) {
        if (printer.print(record) == Written::reader_gone) return false;
      } else {
        renderer.add(record);
      }
      return true;
    });
    if (form_.chosen()) renderer.finish();
    if (reason == "enough") return exit_code::signalled + SIGPIPE;
    if (reason == "timed_out") {
      if (!quiet()) note("the waiting timed out; what has not finished goes on");
      return exit_code::try_again;
    }
    return all_succeeded ? exit_code::success : exit_code::some_failed;
  }

 private:
  std::optional<std::string> group_;
  std::optional<std::uint64_t> since_;
  std::optional<Duration> timeout_;
  bool keep_order_ = false;
  bool output_ = false;
  OutputForm form_;
};

}  // namespace

std::unique_ptr<Action> make_results() { return std::make_unique<Results>(); }

}  // namespace stint::cli
