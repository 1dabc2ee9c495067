// `stint map`: a job for each item.

#include <unistd.h>

#include <algorithm>

#include "client/item_template.hpp"
#include "client/map_run.hpp"
#include "client/spec_options.hpp"
#include "client/submission.hpp"
#include "client/verbs/actions.hpp"

namespace stint::cli {
namespace {

// Enough to keep any number of slots busy, and not so many that a slow reader costs the memory of all results.
constexpr std::uint64_t window_default = 20'000;

class Map : public Action {
 public:
  void declare(Options& options) override {
    options.heading("Map");
    options.number("-j,--jobs", jobs_, "at most N of this map at once; default: as many as the daemon runs", 1,
                   limits::submit_jobs_max);
    options.flag("-k,--keep-order", keep_order_, "results in the order of the items");
    options.flag("-0,--null", null_, "items on standard input end with NUL, not with a line end");
    options.text("-I,--marker", marker_, "what stands for the item; default {}. It is appended where it stands nowhere", "TEXT");
    options.flag("--fail-fast", fail_fast_, "cancel the rest when one fails, and exit with its code");
    options.flag("--no-progress", no_progress_, "no progress bar");
    spec_.declare(options);
    form_.declare(options);
    options.heading("Daemon");
    options.flag("--no-start", no_start_, "do not start a personal daemon where none can be reached");
  }

  int run(const std::vector<std::string>& words) override {
    const auto separator = std::find(words.begin(), words.end(), ":::");
    std::vector<std::string> command(words.begin(), separator);
    MapPlan plan;
    if (marker_) plan.marker = *marker_;
    if (plan.marker.empty()) throw UsageError("--marker: an empty text stands everywhere");
    if (!command.empty()) append_marker(command, plan.marker);
    plan.spec = spec_.build(command);
    plan.spec.group.reset();
    plan.group = spec_.group() ? *spec_.group() : "map-" + random_word().substr(0, 16);
    plan.args = spec_.args();
    plan.window = jobs_.value_or(window_default);
    plan.keep_order = keep_order_;
    plan.fail_fast = fail_fast_;
    plan.quiet = quiet();
    plan.progress = !no_progress_;
    plan.form = form_;
    if (separator == words.end() && ::isatty(STDIN_FILENO) == 1 && !quiet())
      note("items from this terminal, one a line, until Ctrl-D");
    Items items = separator != words.end() ? Items(std::vector<std::string>(separator + 1, words.end()))
                                           : Items(STDIN_FILENO, null_ ? '\0' : '\n');
    if (separator != words.end() && null_) throw UsageError("-0 is for items on standard input, not for those after :::");
    Target where = target();
    where.may_start = !no_start_;
    return MapRun(connect(where), std::move(plan), std::move(items)).run();
  }

 private:
  SpecOptions spec_;
  OutputForm form_;
  std::optional<std::uint64_t> jobs_;
  std::optional<std::string> marker_;
  bool keep_order_ = false;
  bool null_ = false;
  bool fail_fast_ = false;
  bool no_progress_ = false;
  bool no_start_ = false;
};

}  // namespace

std::unique_ptr<Action> make_map() { return std::make_unique<Map>(); }

}  // namespace stint::cli
