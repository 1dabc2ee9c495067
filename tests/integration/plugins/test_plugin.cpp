// The plug-in of the tests, built once: they write another word of the same length over `behaviour` (and over other places) in
// copies of it, and so get plug-ins that crash, hang, leave or register nonsense.
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <stint/plugin.hpp>
#include <thread>

namespace {

using stint::Task;
using stint::TaskContext;
using stint::TaskError;
namespace asio = boost::asio;

// Volatile, so that the compiler does not know what is in it.
volatile char behaviour[] = "behaviour=plain...........";
volatile char version[] = "version=1";

std::string word(const volatile char* text) {
  std::string all;
  for (; *text != '\0'; ++text) all += *text;
  all.erase(0, all.find('=') + 1);
  return all.substr(0, all.find('.'));
}
bool behaves(const char* what) { return word(behaviour) == what; }

struct Constructor {
  Constructor() {
    if (behaves("crash")) {
      std::signal(SIGSEGV, SIG_DFL);
      std::raise(SIGSEGV);
    }
    if (behaves("leave")) ::syscall(SYS_exit_group, 3);  // a thread sanitizer has objections to _exit from here
    if (behaves("hang")) ::pause();
    if (behaves("thread")) {
      // It runs until the process ends.
      pthread_t thread{};
      ::pthread_create(
          &thread, nullptr,
          [](void*) -> void* {
            for (;;) ::pause();
          },
          nullptr);
    }
  }
} constructor;

nlohmann::json place(const TaskContext& context) {
  return {{"version", word(version)}, {"pid", ::getpid()}, {"thread", ::gettid()}, {"isolated", context.isolated}};
}

nlohmann::json crash(const TaskContext&, const nlohmann::json&) {
  std::signal(SIGSEGV, SIG_DFL);
  std::raise(SIGSEGV);
  return nullptr;
}

nlohmann::json fail(const TaskContext&, const nlohmann::json& args) {
  if (args.contains("kind")) throw TaskError(stint::task_argument<std::string>(args, "kind"), "as it was asked to");
  if (args.contains("number")) throw 7;
  throw std::range_error("a plain exception");
}

asio::awaitable<nlohmann::json> wait(const TaskContext& context, const nlohmann::json& args) {
  asio::steady_timer timer(co_await asio::this_coro::executor,
                           stint::from_seconds(stint::task_argument<double>(args, "seconds")));
  co_await timer.async_wait(asio::use_awaitable);
  co_return place(context);
}

/// Blocks until there is a file, which no coroutine may.
asio::awaitable<nlohmann::json> block(const TaskContext& context, const nlohmann::json& args) {
  const auto file = stint::task_argument<std::string>(args, "until");
  while (::access(file.c_str(), F_OK) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  co_return place(context);
}

/// Reads what a Unix socket says, until its end: this goes through Asio's reactor, by the plug-in's own code.
asio::awaitable<nlohmann::json> read(const TaskContext&, const nlohmann::json& args) {
  asio::local::stream_protocol::socket socket(co_await asio::this_coro::executor);
  co_await socket.async_connect({stint::task_argument<std::string>(args, "socket")}, asio::use_awaitable);
  std::string text;
  for (std::array<char, 16> buffer{};;) {
    boost::system::error_code error;
    const auto got = co_await socket.async_read_some(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
    text.append(buffer.data(), got);
  }
  co_return text;
}

Task blocking(const char* name, stint::BlockingTask function) {
  Task task;
  task.name = name;
  task.description = "a task of the tests";
  task.blocking = std::move(function);
  return task;
}
Task coroutine(const char* name, stint::CoroutineTask function) {
  Task task;
  task.name = name;
  task.description = "a task of the tests";
  task.coroutine = std::move(function);
  return task;
}

void register_tasks(stint::TaskRegistry& tasks) {
  const auto here = [](const TaskContext& context, const nlohmann::json&) { return place(context); };
  if (behaves("nothing")) return;
  if (behaves("throws")) throw std::runtime_error("no licence");
  if (behaves("throws-a-number")) throw 7;
  Task plain = blocking("plug_place", here);
  plain.parameters = {{"any", "any", "is not looked at", false}};
  if (behaves("empty")) plain.blocking = nullptr;
  if (behaves("nameless")) plain.name = "";
  if (behaves("long-name")) plain.name = std::string(257, 'n');
  if (behaves("bound-name")) plain.name = std::string(256, 'n');
  if (behaves("not-utf8")) plain.name = "\xff";
  if (behaves("inline")) plain.inline_coroutine = true;
  if (behaves("builtin-name")) plain.name = "sleep";
  if (behaves("twice")) tasks.add(plain);
  if (behaves("descriptions")) plain.description = std::string(1'024, 'd');
  if (behaves("long-description")) plain.description = std::string(1'025, 'd');
  if (behaves("parameters")) {
    plain.name = "plug_parameters";
    plain.parameters.assign(64, {"p", "any", "", false});
  }
  if (behaves("many-parameters")) plain.parameters.assign(65, {"p", "any", "", false});
  tasks.add(plain);
  const int more = behaves("most-tasks") ? 255 : behaves("many-tasks") ? 256 : 0;
  for (int i = 0; i < more; ++i) tasks.add(blocking(("more_" + std::to_string(i)).c_str(), here));
  if (!behaves("plain") && !behaves("again")) return;

  tasks.add(blocking("plug_crash", crash));
  tasks.add(blocking("plug_fail", fail));
  Task both = blocking("plug_both", here);
  both.on_threads = true;
  both.coroutine = [](const TaskContext& context, const nlohmann::json&) -> asio::awaitable<nlohmann::json> {
    co_return place(context);
  };
  tasks.add(both);
  tasks.add(coroutine("plug_wait", wait));
  tasks.add(coroutine("plug_block", block));
  tasks.add(coroutine("plug_read", read));
}

}  // namespace

STINT_PLUGIN(register_tasks)
