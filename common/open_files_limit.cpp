#include "common/open_files_limit.hpp"

namespace stint {

rlimit open_files_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit;
}

rlimit raise_open_files_limit() {
  const rlimit before = open_files_limit();
  rlimit raised = before;
  raised.rlim_cur = raised.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &raised);
  return before;
}

}  // namespace stint
