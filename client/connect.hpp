// Finding a daemon: the search over sockets, the check of who is at the other end, and coming back after a loss.
//
// Nothing is sent before SO_PEERCRED has shown that the other end is us, root, or the user `stint`. Throws Failure 69
// with every socket that was tried. Main thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "client/connection.hpp"
#include "client/interrupts.hpp"
#include "common/socket_paths.hpp"

namespace stint::cli {

/// Who is to be talked to, as the common options say it.
struct Target {
  std::optional<std::string> socket;  ///< --socket
  bool may_start = false;             ///< run, submit and map, less --no-start
  bool quiet = false;                 ///< -q: says nothing of a daemon that was started
};

struct Attempt {
  SocketCandidate candidate;
  std::string why;  ///< why it was not that one
};

/// Connects to one path; on failure says why in `why` and returns nothing.
[[nodiscard]] std::optional<Connection> try_connect(const SocketCandidate& candidate, std::string& why);

/// The first daemon in the order of the search; starts a personal one where that is allowed and none is there.
[[nodiscard]] Connection connect(const Target& target);

/// Who was at the other end, from daemon.info; empty where the connection broke before that was known.
struct Peer {
  std::string instance;   ///< another one after a restart
  std::string state_dir;  ///< where its jobs lie: the same after a restart

  void take(const nlohmann::json& info);
};

/// What the lost connection was used for: to wait for what a daemon has, or to hand work over that none has acknowledged.
enum class Purpose : std::uint8_t { wait, submit };

/// Tries for 30 s to connect to where `lost` led, and says who is there now in `peer`. Who submits has not got further than
/// one who finds no daemon: it is started, where that is allowed. Throws Failure `code` where no daemon is there or a
/// signal comes, and Failure 125 where it is one of another state directory: its jobs are not ours.
[[nodiscard]] Connection reconnect(const Connection& lost, Purpose purpose, Peer& peer, int code, Interrupts& interrupts);

}  // namespace stint::cli
