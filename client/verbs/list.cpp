// `stint list`: jobs, page by page.

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/verbs/actions.hpp"
#include "common/protocol.hpp"

namespace stint::cli {
namespace {

class List : public Action {
 public:
  void declare(Options& options) override {
    options.heading("Which");
    options.choice("--state", state_, "only these", json::EnumNames<State>::names);
    options.choice("--outcome", outcome_, "only these", json::EnumNames<Outcome>::names);
    options.text("--group", group_, "only of this group", "NAME");
    options.text("--tag", tag_, "only with this tag", "TAG");
    options.text("--name", name_, "only of this name", "NAME");
    options.text("--user", user_, "only of this user", "NAME");
    options.number("--since-id", since_id_, "only above this id", 0, limits::id_max);
    options.number("-n,--limit", limit_, "at most so many; default: all", 1, limits::id_max);
    form_.declare(options);
  }

  int run(const std::vector<std::string>& words) override {
    require_no_words(words);
    protocol::ListRequest request;
    if (state_) request.state = json::enum_value<State>(*state_);
    if (outcome_) request.outcome = json::enum_value<Outcome>(*outcome_);
    request.group = group_;
    request.tag = tag_;
    request.name = name_;
    request.user = user_;
    request.since_id = since_id_.value_or(0);
    request.limit = limits::list_jobs_max;
    Connection connection = connect(target());
    Renderer renderer(form_, job_columns(), Renderer::Pace::paged, quiet());
    std::uint64_t left = limit_.value_or(limits::id_max);
    do {
      const auto page = connection.call("job.list", json::encode_text(request));
      for (const auto& record : page.at("jobs")) {
        if (left == 0) break;
        renderer.add(record);
        --left;
      }
      request.since_id = number_at(page, "next");
    } while (request.since_id != 0 && left > 0);
    renderer.finish();
    return exit_code::success;
  }

 private:
  std::optional<std::string> state_;
  std::optional<std::string> outcome_;
  std::optional<std::string> group_;
  std::optional<std::string> tag_;
  std::optional<std::string> name_;
  std::optional<std::string> user_;
  std::optional<std::uint64_t> since_id_;
  std::optional<std::uint64_t> limit_;
  OutputForm form_;
};

}  // namespace

std::unique_ptr<Action> make_list() { return std::make_unique<List>(); }

}  // namespace stint::cli
