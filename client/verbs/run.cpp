// `stint run`: a job in the foreground.

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "client/foreground.hpp"
#include "client/spec_options.hpp"
#include "client/verbs/actions.hpp"
#include "client/whole_input.hpp"

namespace stint::cli {
namespace {

/// Standard input that has something to say: neither a terminal, nor /dev/null, nor closed.
bool input_is_forwarded() {
  struct stat status {};
  if (::fstat(STDIN_FILENO, &status) != 0 || ::isatty(STDIN_FILENO) == 1) return false;
  const auto null_device = makedev(1, 3);
  return !(S_ISCHR(status.st_mode) && status.st_rdev == null_device);
}

class Run : public Action {
 public:
  void declare(Options& options) override {
    spec_.declare(options);
    options.flag("-n,--no-stdin", no_stdin_, "leave standard input alone (in a loop that reads it)");
    options.heading("Daemon");
    options.flag("--no-start", no_start_, "do not start a personal daemon where none can be reached");
  }

  int run(const std::vector<std::string>& words) override {
    JobSpec job = spec_.build_one(words);
    if (job.is_program() && !spec_.has_stdin_file() && !no_stdin_ && input_is_forwarded()) {
      // A second attempt reads it again, so it is sent whole.
      if (job.retry.max > 0) {
        job.stdin_source.source = StdinSource::Bytes{read_whole(STDIN_FILENO, limits::input_chunk_bytes_max)};
      } else {
        job.stdin_source.source = StdinSource::Stream{};
      }
    }
    Target where = target();
    where.may_start = !no_start_;
    return Foreground(connect(where), quiet()).run(job);
  }

 private:
  SpecOptions spec_;
  bool no_stdin_ = false;
  bool no_start_ = false;
};

}  // namespace

std::unique_ptr<Action> make_run() { return std::make_unique<Run>(); }

}  // namespace stint::cli
