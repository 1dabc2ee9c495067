// `stint output`: what a job wrote, to the same descriptors; with -f as it is written, until the job ends.

#include <array>

#include "client/foreground.hpp"
#include "client/output_copy.hpp"
#include "client/record.hpp"
#include "client/verbs/actions.hpp"

namespace stint::cli {
namespace {

constexpr std::uint64_t attempts_max = limits::retries_max + 1;

class Output : public Action {
 public:
  void declare(Options& options) override {
    options.heading("What");
    options.flag("-f,--follow", follow_, "go on until the job has ended");
    options.flag("--stdout", only_out_, "its standard output only");
    options.flag("--stderr", only_err_, "its standard error only");
    options.number("--offset", offset_, "from this byte on (of each stream that is shown)", 0, limits::id_max);
    options.number("--attempt", attempt_, "what this attempt wrote, with -f and those after it; default the newest", 1,
                   attempts_max);
    options.flag("--exit-status", exit_status_, "exit with the job's code (75 where it has not finished)");
    options.exclusive({"--stdout", "--stderr"});
  }

  int run(const std::vector<std::string>& words) override {
    const JobId id = id_of(words);
    Connection connection = connect(target());
    const std::array<bool, 2> streams{!only_err_, !only_out_};
    const std::uint64_t offset = offset_.value_or(0);
    const auto attempt = static_cast<stint::Attempt>(attempt_.value_or(0));
    if (follow_) {
      const int code = Foreground(std::move(connection), quiet()).follow(id, attempt, streams, offset);
      return exit_status_ ? code : exit_code::success;
    }
    for (const StreamName name : {StreamName::out, StreamName::err}) {
      std::uint64_t from = offset;
      if (streams[static_cast<std::size_t>(name)]) copy_output(connection, id, name, from, attempt);
    }
    if (!exit_status_) return exit_code::success;
    const auto record = connection.call("job.get", R"({"id":)" + std::to_string(id) + "}");
    return text_at(record, "state") == "finished" ? exit_code_of(record) : exit_code::try_again;
  }

 private:
  bool follow_ = false;
  bool only_out_ = false;
  bool only_err_ = false;
  bool exit_status_ = false;
  std::optional<std::uint64_t> offset_;
  std::optional<std::uint64_t> attempt_;
};

}  // namespace

std::unique_ptr<Action> make_output() { return std::make_unique<Output>(); }

}  // namespace stint::cli
