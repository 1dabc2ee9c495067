// The daemon's front door: listens on the socket, owns every connection, takes all down in order.
//
// I/O thread only. `start` throws Error (`unavailable`, with what to do); nothing else throws. The Backend must outlive
// it; destroy it after `stop` has called `done`.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/time.hpp"
#include "common/unique_fd.hpp"
#include "daemon/api/backend.hpp"

namespace stint::api {

struct Options {
  std::string socket_path;
  /// The socket's directory is the personal default: made 0700, refused where it is not ours alone.
  bool private_directory = false;
  std::size_t connections_max = 10'000;
  Duration send_timeout = std::chrono::seconds(30);
  std::uint32_t daemon_uid = 0;  ///< who may connect, beside root
  UniqueFd adopted;              ///< a listening socket that was passed to the daemon; then socket_path is not touched
};

struct Stats {
  std::uint64_t connections = 0;  ///< open now
  std::uint64_t accepted = 0;     ///< since the start
  std::uint64_t refused = 0;      ///< of another user, too many, no descriptors
  std::uint64_t requests = 0;     ///< since the start
};

class Server {
 public:
  Server(boost::asio::io_context& io, Backend& backend, Options options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds and listens.
  void start();

  /// Stops accepting and removes the socket file. `graceful`: what is answered may leave first, for at most two seconds;
  /// then closes every connection and calls `done`.
  void stop(bool graceful, std::function<void()> done);

  [[nodiscard]] const Stats& stats() const;

 private:
  class State;
  std::shared_ptr<State> state_;
};

/// docs/protocol.md, from the method table.
[[nodiscard]] std::string protocol_markdown();

}  // namespace stint::api
