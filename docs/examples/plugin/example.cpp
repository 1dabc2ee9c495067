// A plug-in with two tasks: `word_count` runs in a host process, apart from the daemon, or on its threads; `port_open` is a
// coroutine. docs/plugins.md says how it is built and loaded.
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <stint/plugin.hpp>

namespace {

using boost::asio::use_awaitable;
using boost::asio::ip::tcp;

/// Words and lines of a file. It looks at the stop token, so that a job can be cancelled without its host being killed.
nlohmann::json word_count(const stint::TaskContext& context, const nlohmann::json& args) {
  const auto path = args.is_string() ? args.get<std::string>() : stint::task_argument<std::string>(args, "file");
  std::ifstream file(path);
  if (!file) throw stint::TaskError("file", path + " cannot be read");
  std::uint64_t lines = 0;
  std::uint64_t words = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    if (context.stop.stop_requested()) throw stint::TaskError("stopped", "the task was stopped");
    bool inside = false;
    for (const char letter : line) {
      const bool blank = letter == ' ' || letter == '\t';
      if (!blank && !inside) ++words;
      inside = !blank;
    }
  }
  return {{"lines", lines}, {"words", words}};
}

/// Whether somebody listens on a port of this machine. Thousands of these wait on one thread; none of them may block.
boost::asio::awaitable<nlohmann::json> port_open(const stint::TaskContext&, const nlohmann::json& args) {
  const auto port = stint::task_argument<std::uint16_t>(args, "port");
  tcp::socket socket(co_await boost::asio::this_coro::executor);
  boost::system::error_code error;
  co_await socket.async_connect({boost::asio::ip::address_v4::loopback(), port},
                                boost::asio::redirect_error(use_awaitable, error));
  if (error && error != boost::asio::error::connection_refused) throw boost::system::system_error(error);
  co_return !error;
}

void register_tasks(stint::TaskRegistry& tasks) {
  stint::Task counting;
  counting.name = "word_count";
  counting.description = "lines and words of a file; the arguments may also be the file's path itself";
  counting.parameters = {{"file", "string", "path of a text file", true}};
  counting.blocking = word_count;
  counting.on_threads = true;
  tasks.add(counting);

  stint::Task asking;
  asking.name = "port_open";
  asking.description = "whether somebody listens on a TCP port of this machine";
  asking.parameters = {{"port", "integer", "the port", true}};
  asking.coroutine = port_open;
  tasks.add(asking);
}

}  // namespace

STINT_PLUGIN(register_tasks)
