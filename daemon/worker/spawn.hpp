// Starts programs by clone3(CLONE_VM) and says which step failed.
//
// Everything that needs memory is done before the clone; the child only makes system calls: session, limits, umask,
// descriptors, directory, signal mask, exec. The last three may take for ever, on a dead network mount for example: the caller
// does not wait for them (no vfork), and the child holds nothing but its own descriptors by then. The caller must ignore no
// signal: that is inherited. No pidfd is asked for: whoever spawns is the parent and nobody else reaps, so the pid cannot pass
// to another process. One thread of a process only: a child would hold the pipes of one that is spawned beside it, and be taken
// for its leftover. Throws only bad_alloc.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
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

/// Why a program was not started.
struct SpawnFailure {
  int exit_code = 0;  ///< 126 or 127
  std::string message;
};

/// What a child needs until it has called exec, and what it says where a step of its fails.
class Launch;
/// One whose child is still on its way is left as it is: the child reads it.
struct LaunchEnd {
  void operator()(Launch* launch) const;
};
using LaunchPtr = std::unique_ptr<Launch, LaunchEnd>;

/// The child is the program, or was: it is not on its way any more, and no step has failed.
[[nodiscard]] bool has_begun(const Launch& launch);
/// For a child that has ended: the step on its way that failed.
[[nodiscard]] std::optional<SpawnFailure> failure_of(const Launch& launch);

struct SpawnResult {
  std::optional<SpawnFailure> failure;  ///< there is no child
  pid_t pid = 0;
  LaunchPtr launch;
  UniqueFd input;  ///< our end of its standard input, for InputKind bytes and stream
  UniqueFd out;    ///< our ends of the output pipes, non-blocking
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

class Spawner {
 public:
  [[nodiscard]] SpawnResult spawn(SpawnPlan plan);
  /// For a later one, where its child is through.
  void give_back(LaunchPtr launch);

 private:
  std::vector<LaunchPtr> spare_;
};

}  // namespace stint::worker
