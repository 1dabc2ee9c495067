// `stint show`: everything known of one job.

#include "client/render.hpp"
#include "client/verbs/actions.hpp"

namespace stint::cli {
namespace {

class Show : public Action {
 public:
  void declare(Options& options) override {
    options.heading("What");
    options.flag("--spec", spec_, "the whole specification, with environment and input (submitter only)");
    form_.declare(options);
  }

  int run(const std::vector<std::string>& words) override {
    const std::string params = R"({"id":)" + std::to_string(id_of(words)) + "}";
    print_object(form_, connect(target()).call(spec_ ? "job.spec" : "job.get", params));
    return exit_code::success;
  }

 private:
  OutputForm form_;
  bool spec_ = false;
};

}  // namespace

std::unique_ptr<Action> make_show() { return std::make_unique<Show>(); }

}  // namespace stint::cli
