#include "client/connect.hpp"

#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "client/autostart.hpp"
#include "client/terminal.hpp"

namespace stint::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds reconnect_time{30};
constexpr int reconnect_step_ms = 100;

/// Empty where the peer may be trusted.
std::string peer_fault(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::strerror(errno);
  if (peer.uid == ::getuid() || peer.uid == 0) return {};
  const passwd* service = ::getpwnam("stint");
  if (service != nullptr && service->pw_uid == peer.uid) return {};
  return "is served by uid " + std::to_string(peer.uid) + ", which is neither you, root nor stint: nothing was sent to it";
}

std::string failure_text(int error) {
  if (error == ENOENT) return "not there";
  if (error == ECONNREFUSED) return "no daemon listens there (a stale socket)";
  return std::strerror(error);
}

[[noreturn]] void throw_cannot_connect(const std::vector<Attempt>& attempts, bool explicit_path) {
  std::string text = "cannot connect to a daemon; tried:";
  for (const auto& attempt : attempts) {
    text += "\n  " + attempt.candidate.path.string() + ": " + attempt.why;
    if (attempt.candidate.origin != "personal") text += " (" + attempt.candidate.origin + ")";
  }
  if (explicit_path) {
    text += "\nStart one there with: stintd --socket " + attempts.front().candidate.path.string();
  } else {
    text += "\nStart one with: stintd &   (`stint run`, `submit` and `map` do it by themselves)";
  }
  throw Failure(exit_code::no_daemon, std::move(text));
}

/// Inside a job of this daemon: what we take and submit is the job's, and while we wait its slot is lent. Costs no round trip,
/// and a daemon that does not know the job (it has ended) goes on as with anybody else.
void enter_own_job(Connection& connection) {
  const char* const socket = std::getenv("STINT_SOCKET");
  const char* const job = std::getenv("STINT_JOB_ID");
  const char* const attempt = std::getenv("STINT_ATTEMPT");
  if (socket == nullptr || job == nullptr || attempt == nullptr || connection.path() != socket) return;
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.size() < 17 && text.find_first_not_of("0123456789") == std::string_view::npos && text[0] != '0';
  };
  if (!is_number(job) || !is_number(attempt)) return;
  connection.request("job.enter", R"({"job":)" + std::string(job) + R"(,"attempt":)" + attempt + "}", {}, [](const RpcError&) {});
}

}  // namespace

std::optional<Connection> try_connect(const SocketCandidate& candidate, std::string& why) {
  const std::string path = candidate.path.string();
  why.clear();
  if (path.size() > socket_path_bytes_max) {
    why = "the path is longer than " + std::to_string(socket_path_bytes_max) + " bytes, which no socket can have";
    return std::nullopt;
  }
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    why = failure_text(errno);
    return std::nullopt;
  }
  if (candidate.directory_ours) why = directory_fault(candidate.path.parent_path());
  if (!why.empty()) {
    why = "not trusted: its directory " + why;
    return std::nullopt;
  }
  why = peer_fault(socket.get());
  if (!why.empty()) return std::nullopt;
  Connection connection(std::move(socket), path);
  enter_own_job(connection);
  return connection;
}

Connection connect(const Target& target) {
  const auto start = target.quiet ? Connection::Start::quiet : Connection::Start::told;
  std::vector<Attempt> attempts;
  for (const auto& candidate : socket_candidates(target.socket)) {
    std::string why;
    if (auto connection = try_connect(candidate, why)) {
      if (target.may_start && candidate.origin == "personal") connection->allow_start(start);
      return std::move(*connection);
    }
    attempts.push_back({candidate, why});
  }
  const bool explicit_path =
      attempts.front().candidate.origin == "--socket" || attempts.front().candidate.origin == "STINT_SOCKET";
  // Whoever names a socket wants that daemon, not one that is made up on the spot.
  if (!target.may_start || explicit_path || !autostart_allowed()) throw_cannot_connect(attempts, explicit_path);
  return start_daemon(start);
}

void Peer::take(const nlohmann::json& info) {
  instance = info.value("instance", std::string());
  state_dir = info.value("state_dir", std::string());
}

Connection reconnect(const Connection& lost, Purpose purpose, Peer& peer, int code, Interrupts& interrupts) {
  const std::string& path = lost.path();
  const auto deadline = Clock::now() + reconnect_time;
  const bool may_start =
      purpose == Purpose::submit && lost.start_allowed() != Connection::Start::forbidden && autostart_allowed();
  note("the connection to the daemon was lost; trying to come back for 30 s");
  std::array<pollfd, 1> wake{pollfd{interrupts.fd(), POLLIN, 0}};
  const auto give_up_on_signal = [&] {
    if (wake[0].revents != 0) throw Failure(code, "interrupted while the daemon at " + path + " was away");
  };
  while (Clock::now() < deadline) {
    std::string why;
    auto connection = try_connect({path, "--socket"}, why);
    if (!connection && may_start) connection = start_daemon(lost.start_allowed());
    if (connection) {
      std::optional<Peer> found;
      connection->request("daemon.info", "{}", [&found](const nlohmann::json& info) { found.emplace().take(info); });
      try {
        while (!found && Clock::now() < deadline) {
          connection->pump(wake, reconnect_step_ms);
          give_up_on_signal();
        }
        if (found && !peer.state_dir.empty() && peer.state_dir != found->state_dir) {
          throw Failure(exit_code::not_finished, "another daemon listens at " + path + " now: its jobs lie in " +
                                                     found->state_dir + ", those of the one before in " + peer.state_dir);
        }
        if (found) {
          if (!peer.instance.empty() && peer.instance != found->instance) note("the daemon was restarted; going on");
          peer = std::move(*found);
          return std::move(*connection);
        }
      } catch (const ConnectionLost&) {
        // It is on its way down; the next one may be another.
      }
    }
    ::poll(wake.data(), wake.size(), reconnect_step_ms);
    give_up_on_signal();
  }
  throw Failure(code, "the connection to " + path + " was lost and no daemon came back within 30 s");
}

}  // namespace stint::cli
