// A program that runs while this process holds a lease: `stint lock` and `stint sem acquire`.
//
// The lease ends with the connection, so it is given back whatever happens to us; the program is told to stop where we are
// killed. A daemon that is restarted meanwhile is asked for the lease again. Main thread. Throws Failure; 75 where the waiting
// timed out.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/connect.hpp"

namespace stint::cli {

struct HeldRun {
  std::string method;  ///< lock.acquire or semaphore.acquire
  nlohmann::json params;
  std::vector<std::string> command;
};

/// Acquires, runs, gives back; returns the program's exit code, 128+n where it died of signal n.
[[nodiscard]] int run_holding(Connection connection, HeldRun run);

/// The owner for circles: the same for all programs that one of ours runs.
[[nodiscard]] std::string lease_owner();

}  // namespace stint::cli
