// A connection that comes back: who waits for jobs survives the loss of the connection, not of the daemon.
//
// The instance is asked for with the first write, so that it costs no round trip. `interrupts` outlives the session. Main
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
    connection.request("daemon.info", "{}",
                       [this](const nlohmann::json& info) { instance_ = info.value("instance", std::string()); });
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Replaces the connection after ConnectionLost; streams and pending calls are gone and are the caller's to make anew.
  void recover() { connection = reconnect(connection.path(), instance_, lost_code_, interrupts_); }

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
  std::string instance_;
  int lost_code_;
  Interrupts& interrupts_;
};

}  // namespace stint::cli
