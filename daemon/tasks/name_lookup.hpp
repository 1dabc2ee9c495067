// From a host's name to its addresses, by a wait that can be given up.
//
// getaddrinfo cannot be interrupted. Asio's own resolver runs it on one thread of the io_context, which is waited for
// when the context ends: one server of names that does not answer would hold up every other name, and the daemon's end.
// Here it runs on a few threads that share nothing with the context: they leave the answer and close a pipe, for whose
// end the coroutine waits. So a wait is cancelled like any other, and a thread that hangs holds up nobody's end.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/limits.hpp"

namespace stint::tasks {

class NameLookup {
 public:
  struct Answer {
    std::vector<boost::asio::ip::address> addresses;
    std::string error;  ///< where there are none: why
  };
  /// May block; called on any thread, several at a time.
  using Resolve = std::function<Answer(const std::string& host)>;
  using Clock = boost::asio::steady_timer::clock_type;

  explicit NameLookup(Resolve resolve = system_addresses, std::size_t threads_max = limits::name_lookups_max);

  /// Nothing where `deadline` comes first. Throws operation_aborted where the coroutine is cancelled, std::system_error
  /// where there is no descriptor or no thread. May be called on any thread.
  [[nodiscard]] boost::asio::awaitable<std::optional<Answer>> find(std::string host, Clock::time_point deadline);

  /// getaddrinfo, in the order in which it gives the addresses.
  [[nodiscard]] static Answer system_addresses(const std::string& host);

 private:
  struct Query;
  struct Line;
  std::shared_ptr<Line> line_;
};

}  // namespace stint::tasks
