// `stint status`: the daemon and what it is doing. Exits with 69 where none can be reached: a health check.

#include "client/render.hpp"
#include "client/verbs/actions.hpp"

namespace stint::cli {
namespace {

class Status : public Action {
 public:
  void declare(Options& options) override { form_.declare(options); }

  int run(const std::vector<std::string>& words) override {
    require_no_words(words);
    Connection connection = connect(target());
    auto info = connection.call("daemon.info", "{}");
    auto stats = connection.call("daemon.stats", "{}");
    if (quiet()) return exit_code::success;
    if (form_.chosen()) {
      print_object(form_, {{"socket", connection.path()}, {"info", std::move(info)}, {"stats", std::move(stats)}});
      return exit_code::success;
    }
    // The bounds are for programs.
    info.erase("bounds");
    info.erase("capabilities");
    info["socket"] = connection.path();
    print_fields(info);
    print_fields(stats);
    return exit_code::success;
  }

 private:
  OutputForm form_;
};

}  // namespace

std::unique_ptr<Action> make_status() { return std::make_unique<Status>(); }

}  // namespace stint::cli
