// The listening socket: made safely, and connections taken from it one at a time, at no speed that could hurt.
//
// A stale socket file is replaced, a live one never; the file is removed at the end where it is still this one. Peers of
// another user, and those past the bound, are told why and closed. Out of descriptors it answers with a reserve one and
// waits a little instead of spinning. I/O thread only; `open` throws Error.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "common/error.hpp"
#include "common/unique_fd.hpp"
#include "daemon/api/server.hpp"

namespace stint::api {

/// Whether somebody listens at `path`; a full backlog counts. Throws where no socket can be made to find out.
[[nodiscard]] bool is_served(const std::string& path);
/// A bound and listening socket at `path`, mode 0600.
[[nodiscard]] UniqueFd listen_at(const std::string& path);
/// Makes `directory` with mode 0700 where it is not there; throws where it is not a directory of this user alone.
void require_private_directory(const std::string& directory);
/// Sends `error` as one line, without waiting, to a peer that is about to be closed.
void send_refusal(int fd, const Error& error);

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  /// Takes a connection, close-on-exec and non-blocking, and the peer's uid.
  using Accepted = std::function<void(UniqueFd socket, uid_t uid)>;

  Listener(boost::asio::io_context& io, const Options& options, Stats& stats, Accepted accepted);

  void open(UniqueFd adopted);
  /// Accepts no more and removes the socket file.
  void close();

 private:
  void wait();
  void accept_some();
  void take(UniqueFd socket);
  void out_of_descriptors();

  boost::asio::posix::stream_descriptor descriptor_;
  boost::asio::steady_timer pause_;
  const Options& options_;
  Stats& stats_;
  Accepted accepted_;
  UniqueFd reserve_;
  bool owns_path_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace stint::api
