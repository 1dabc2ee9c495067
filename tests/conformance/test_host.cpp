// A host process with the test tasks: the listener is descriptor 3.
#include "daemon/worker/host.hpp"
#include "tests/conformance/test_tasks.hpp"

int main() {
  stint::TaskRegistry tasks;
  stint::test::register_test_tasks(tasks, false, false);
  return stint::worker::host_main(3, tasks);
}
