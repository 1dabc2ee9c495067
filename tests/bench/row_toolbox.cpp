// How fast a lock goes from one client to the next, and items go through a channel. Rates, without a rival.
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "tests/bench/contest.hpp"
#include "tests/bench/line_socket.hpp"

namespace stint::bench {
namespace {

using nlohmann::json;

constexpr int hand_overs = 2'000;

std::string call(int id, const std::string& method, const json& params) {
  return json{{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}}.dump() + "\n";
}

json result_of(std::string_view line) {
  const json answer = json::parse(line);
  if (!answer.contains("result")) throw std::runtime_error(std::string(line));
  return answer.at("result");
}

/// The next answer that is a lease; what else comes is the answer of a release.
json next_lease(LineSocket& socket) {
  while (true) {
    if (json result = result_of(socket.line()); result.contains("lease")) return result;
  }
}

/// Two clients take turns: who has the lock gives it back and stands in line again, in one write.
double lock_hand_overs(const Setup& setup) {
  LineSocket one(setup.socket);
  LineSocket other(setup.socket);
  const std::string acquire = call(1, "lock.acquire", {{"name", "bench"}});
  one.out() = acquire;
  json lease = next_lease(one);
  LineSocket* holder = &one;
  LineSocket* next = &other;
  next->out() = acquire;
  next->flush();
  const double begun = now_seconds();
  for (int i = 0; i < hand_overs; ++i) {
    holder->out() += call(2, "lock.release", {{"lease", lease.at("lease")}}) + acquire;
    holder->flush();
    lease = next_lease(*next);
    std::swap(holder, next);
  }
  return hand_overs / (now_seconds() - begun);
}

/// So many calls are unanswered at once; these may wait, so the daemon bounds them.
constexpr int open_calls_max = 512;

/// Makes `count` calls, each as soon as there is room for it.
template <class Make>
void pipeline(LineSocket& socket, int count, Make&& make) {
  int sent = 0;
  for (int answered = 0; answered < count; ++answered) {
    for (; sent < count && sent - answered < open_calls_max; ++sent) socket.out() += make(sent);
    if (const std::string_view line = socket.line(); line.find("\"error\"") != std::string_view::npos) {
      throw std::runtime_error(std::string(line));
    }
  }
}

/// One client puts, then another takes, an item a call, each without waiting for its answers.
double channel_items(const Setup& setup, bool durable, int items) {
  LineSocket producer(setup.socket);
  LineSocket consumer(setup.socket);
  const json name{{"name", "bench"}};
  const json open{{"name", "bench"}, {"capacity", items}, {"durable", durable}};
  pipeline(producer, 1, [&](int) { return call(1, "channel.open", open); });
  const double begun = now_seconds();
  pipeline(producer, items, [](int i) { return call(i + 1, "channel.put", {{"name", "bench"}, {"item", i}}); });
  pipeline(consumer, items, [&](int) { return call(1, "channel.get", name); });
  const double took = now_seconds() - begun;
  pipeline(producer, 1, [&](int) { return call(1, "channel.remove", name); });
  return items / took;
}

}  // namespace

void run_toolbox(const Setup& setup) {
  print_title("locks and channels");
  const auto rates = compete({{"lock", [&] { return lock_hand_overs(setup); }},
                              {"channel", [&] { return channel_items(setup, false, 50'000); }},
                              {"durable channel", [&] { return channel_items(setup, true, 50'000); }}},
                             setup.rounds);
  print_figure("a lock from one client to the next, on disk", rates[0], "hand-overs/s");
  print_figure("through a channel, put and get", rates[1], "items/s");
  print_figure("through a durable channel, put and get", rates[2], "items/s");
}

}  // namespace stint::bench
