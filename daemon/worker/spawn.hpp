// Starts one program by clone3(CLONE_VM | CLONE_VFORK) and says which step failed.
//
// Everything that needs memory or may be slow is done before the clone; the child only makes system calls: session,
// limits, umask, directory, descriptors, signal mask, exec. The caller must ignore no signal: that is inherited. The calling
// thread waits until the program runs (vfork). No pidfd is asked for: whoever spawns is the parent and nobody else reaps, so the
// pid cannot pass to another process. One thread of a process only: a child on its way into exec would hold the pipes of
// one that is spawned beside it, and be taken for its leftover. Throws only bad_alloc.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/runner_protocol.hpp"
#include "common/time.hpp"
#include "common/unique_fd.hpp"

namespace stint::worker {

struct SpawnPlan {
  std::vector<std::string> argv;  ///< the first names the program; see find_program
  std::string search_path;        ///< the program's PATH
  std::vector<std::string> env;   ///< NAME=VALUE
  std::string cwd;
  bool cwd_given = false;  ///< false: where `cwd` cannot be entered, / will do
  mode_t umask = 077;
  InputKind input = InputKind::empty;
  std::string input_path;
  OutputOrder out;
  OutputOrder err;
  std::optional<rlimit> open_files;  ///< RLIMIT_NOFILE that the program gets
  int null_fd = -1;                  ///< /dev/null, open for reading and writing
};

struct SpawnResult {
  pid_t pid = 0;
  int exit_code = 0;    ///< 126 or 127 where it was not started
  std::string failure;  ///< what failed, a sentence; empty: it runs
  UniqueFd input;       ///< our end of its standard input, for InputKind bytes and stream
  UniqueFd out;         ///< our ends of the output pipes, non-blocking
  UniqueFd err;
  std::uint64_t start_ticks = 0;
  Time started_at{};  ///< just before the process was made
};

/// Where `name` is found: as it stands if it has a slash, else in the PATH given. On failure an empty path, and why.
struct FoundProgram {
  std::string path;
  int exit_code = 0;
  std::string failure;
};
[[nodiscard]] FoundProgram find_program(const std::string& name, const std::string& search_path, const std::string& cwd);

void spawn(const SpawnPlan& plan, SpawnResult& result);

}  // namespace stint::worker
