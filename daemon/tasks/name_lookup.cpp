#include "daemon/tasks/name_lookup.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <unistd.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

#include "common/unique_fd.hpp"

namespace stint::tasks {

namespace asio = boost::asio;

struct NameLookup::Query {
  std::string host;
  // Under the line's mutex:
  std::optional<Answer> answer;
  UniqueFd answered;  // closed when there is an answer
};

/// What stands in line for a thread, and is shared with the threads, which may outlive the rest.
struct NameLookup::Line {
  Line(Resolve the_resolve, std::size_t the_threads_max) : resolve(std::move(the_resolve)), threads_max(the_threads_max) {}

  const Resolve resolve;
  const std::size_t threads_max;
  std::mutex mutex;
  std::deque<std::weak_ptr<Query>> queries;  // one that nobody waits for any more is gone
  std::size_t threads = 0;

  static void add(const std::shared_ptr<Line>& line, const std::shared_ptr<Query>& query) {
    const std::lock_guard lock(line->mutex);
    line->queries.push_back(query);
    if (line->threads == line->threads_max) return;
    try {
      // Not waited for by anybody: it ends by itself when nothing is in line, or with the process.
      std::thread([line] { line->work(); }).detach();
      ++line->threads;
    } catch (const std::system_error&) {
      if (line->threads == 0) throw;
    }
  }

  void work() {
    std::unique_lock lock(mutex);
    while (!queries.empty()) {
      const std::shared_ptr<Query> query = queries.front().lock();
      queries.pop_front();
      if (!query) continue;
      lock.unlock();
      Answer answer;
      try {
        answer = resolve(query->host);
      } catch (const std::exception& error) {
        answer.error = error.what();
      }
      lock.lock();
      query->answer = std::move(answer);
      query->answered.reset();
    }
    --threads;
  }
};

NameLookup::NameLookup(Resolve resolve, std::size_t threads_max)
    : line_(std::make_shared<Line>(std::move(resolve), threads_max)) {}

asio::awaitable<std::optional<NameLookup::Answer>> NameLookup::find(std::string host, Clock::time_point deadline) {
  boost::system::error_code error;
  if (const auto address = asio::ip::make_address(host, error); !error) co_return Answer{{address}, {}};

  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor end(executor, ends[0]);
  const auto query = std::make_shared<Query>();
  query->host = std::move(host);
  query->answered.reset(ends[1]);
  const auto line = line_;
  Line::add(line, query);

  // The timer is what is waited for, and the pipe's end cuts it short.
  const auto timer = std::make_shared<asio::steady_timer>(executor, deadline);
  end.async_wait(asio::posix::stream_descriptor::wait_read, [timer](const boost::system::error_code&) { timer->cancel(); });
  co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, error));
  const std::lock_guard lock(line->mutex);
  if (!query->answer && error) throw boost::system::system_error(error);
  co_return std::move(query->answer);
}

NameLookup::Answer NameLookup::system_addresses(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (code != 0) return {{}, code == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(code)};
  Answer answer;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    asio::ip::tcp::endpoint endpoint;
    if (entry->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), entry->ai_addr, entry->ai_addrlen);
    answer.addresses.push_back(endpoint.address());
  }
  ::freeaddrinfo(list);
  if (answer.addresses.empty()) answer.error = "it has no address";
  return answer;
}

}  // namespace stint::tasks
