#include "common/pool.hpp"

#include "common/job.hpp"

namespace stint {

void PoolSpec::validate(const json::Path& path) const {
  validate_command(command, path);
  validate_env(env, path);
  if (cwd && !cwd->starts_with('/')) json::refuse(path.field("cwd"), "an absolute path");
}

}  // namespace stint
