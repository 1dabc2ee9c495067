// stint-worker: the child processes of stintd. Started by the daemon only, as `stint-worker zygote FD STATE-DIR`.
//
// FD is the control socket, inherited. The process becomes the zygote; runners and hosts are its forks. As `stint-worker plugin
// PATH HELD` it tells what a plug-in holds.
#include <sys/socket.h>

#include <charconv>
#include <cstring>
#include <string_view>

#include "common/task_api.hpp"
#include "daemon/tasks/builtin.hpp"
#include "daemon/worker/host.hpp"
#include "daemon/worker/plugin_probe.hpp"
#include "daemon/worker/process_setup.hpp"
#include "daemon/worker/runner.hpp"
#include "daemon/worker/zygote.hpp"

namespace {

int run_host(stint::worker::WorkerPlace place) {
  stint::worker::reset_signals({});
  stint::TaskRegistry tasks;
  stint::tasks::register_builtin_tasks(tasks);
  return stint::worker::host_main(place.listener.get(), tasks);
}

bool is_packet_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int wrong_usage = 64;
  if (argc == 4 && std::string_view(argv[1]) == "plugin") stint::worker::plugin_probe_main(argv[2], argv[3]);
  int fd = -1;
  if (argc == 4 && std::string_view(argv[1]) == "zygote") std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), fd);
  if (fd < 3 || !is_packet_socket(fd)) {
    stint::worker::say("this program is started by stintd and does nothing by itself");
    return wrong_usage;
  }
  const stint::worker::WorkerMains mains{stint::worker::runner_main, run_host};
  return stint::worker::zygote_main(stint::UniqueFd(fd), argv[3], mains);
}
