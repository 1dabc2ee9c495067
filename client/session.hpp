// A connection that comes back: who waits for jobs survives the loss of the connection, not of the daemon.
//
// The instance is asked for with the first write, so that it costs no round trip. Main thread; throws as connect.hpp.
#pragma once

#include <string>

#include "client/connect.hpp"

namespace stint::cli {

class Session {
 public:
  /// `lost_code`: the exit code where no daemon comes back.
  Session(Connection opened, int lost_code, Interrupts* interrupts)
      : connection(std::move(opened)), lost_code_(lost_code), interrupts_(interrupts) {
    connection.request("daemon.info", "{}",
                       [this](const nlohmann::json& info) { instance_ = info.value("instance", std::string()); });
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Replaces the connection after ConnectionLost; streams and pending calls are gone and are the caller's to make anew.
  void recover() {
    if (instance_.empty()) throw Failure(lost_code_, "the daemon at " + connection.path() + " closed the connection at once");
    connection = reconnect(connection.path(), instance_, lost_code_, interrupts_);
  }

  Connection connection;

 private:
  std::string instance_;
  int lost_code_;
  Interrupts* interrupts_;
};

}  // namespace stint::cli
