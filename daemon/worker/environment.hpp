// The environment of a program: the user's basic one, the job's own over it, and what marks it as this run.
//
// Nothing comes from the daemon's environment. The STINT_ variables are set last: they are how the processes of a run
// are known again (common/process_tree.hpp), so a job cannot choose them. The runner's thread; throws only bad_alloc.
#pragma once

#include <string>
#include <vector>

#include "common/runner_protocol.hpp"

namespace stint::worker {

/// What every program of this user starts from; looked up once.
struct UserBasics {
  std::string home = "/";
  std::string path;
  std::vector<EnvEntry> env;  ///< PATH HOME USER LOGNAME SHELL LANG TZ, as far as they are known
};
[[nodiscard]] UserBasics user_basics();

/// NAME=VALUE strings.
[[nodiscard]] std::vector<std::string> make_environment(const UserBasics& basics, const Hello& hello, const Begin& begin);
/// Where the program is looked for: the PATH that it gets, or a usual one where it gets none.
[[nodiscard]] std::string search_path(const UserBasics& basics, const Begin& begin);

}  // namespace stint::worker
