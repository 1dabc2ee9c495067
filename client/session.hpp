// A connection that comes back: who waits for jobs survives the loss of the connection and a restart of the daemon.
//
// Who is there is asked with the first write, so that it costs no round trip. `interrupts` outlives the session. Main
// thread; throws as connect.hpp.
#pragma once

#include <string>

#include "client/connect.hpp"

namespace stint::cli {

class Session {
 public:
  /// `lost_code`: the exit code where no daemon comes back.
  Session(Connection opened, int lost_code, Interrupts& interrupts)
      : connection(std::move(opened)), lost_code_(lost_code), interrupts_(interrupts) {
    connection.request("daemon.info", "{}", [this](const nlohmann::json& info) { peer_.take(info); });
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Replaces the connection after ConnectionLost; streams and pending calls are gone and are the caller's to make anew.
  void recover(Purpose purpose = Purpose::wait) {
    const std::string before = peer_.instance;
    connection = reconnect(connection, purpose, peer_, lost_code_, interrupts_);
    restarted_ = restarted_ || (!before.empty() && before != peer_.instance);
  }

  /// `error`, or where it says that a job is not there after a restart: Failure 125 with the reason. `what`: which.
  [[noreturn]] void refuse(const RpcError& error, const std::string& what) const {
    const bool gone = error.kind() == "not_found" || error.kind() == "purged";
    if (!restarted_ || !gone) throw error;
    throw Failure(exit_code::not_finished,
                  what + " did not survive the restart of the daemon: what is not durable ends with it (" + error.what() + ")");
  }
  [[nodiscard]] bool restarted() const { return restarted_; }

  /// `ask(connection)`, again after each loss: for what may be asked twice.
  template <class Ask>
  auto resuming(Ask ask) {
    while (true) {
      try {
        return ask(connection);
      } catch (const ConnectionLost&) {
        recover();
      }
    }
  }

  Connection connection;

 private:
  Peer peer_;
  bool restarted_ = false;
  int lost_code_;
  Interrupts& interrupts_;
};

}  // namespace stint::cli
