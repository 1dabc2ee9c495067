// Looking up names: waits that can be given up, however long the system takes for an answer.
#include "daemon/tasks/name_lookup.hpp"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <condition_variable>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

namespace stint::tasks {
namespace {

using Answer = NameLookup::Answer;

/// Answers when it is told to, as a server of names that hangs.
class SlowNames {
 public:
  NameLookup::Resolve resolve() {
    return [state = state_](const std::string& host) {
      std::unique_lock lock(state->mutex);
      state->asked.insert(host);
      ++state->inside;
      state->most = std::max(state->most, state->inside);
      state->changed.notify_all();
      state->changed.wait(lock, [&] { return state->open; });
      --state->inside;
      return Answer{{boost::asio::ip::make_address("192.0.2.1")}, {}};
    };
  }
  void until_asked(std::size_t count) {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->asked.size() >= count; });
  }
  void open() {
    const std::lock_guard lock(state_->mutex);
    state_->open = true;
    state_->changed.notify_all();
  }
  std::multiset<std::string> asked() {
    const std::lock_guard lock(state_->mutex);
    return state_->asked;
  }
  std::size_t most() {
    const std::lock_guard lock(state_->mutex);
    return state_->most;
  }
  ~SlowNames() { open(); }

 private:
  struct State {  // the threads outlive the test
    std::mutex mutex;
    std::condition_variable changed;
    std::multiset<std::string> asked;
    std::size_t inside = 0;
    std::size_t most = 0;
    bool open = false;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

/// One wait and what became of it.
struct Wait {
  boost::asio::cancellation_signal cancel;
  std::string end = "none";  // an address, "timed out", "cancelled", or the error

  void begin(boost::asio::io_context& io, NameLookup& lookup, const std::string& host, std::chrono::milliseconds timeout) {
    auto on_end = [this](const std::exception_ptr& thrown, const std::optional<Answer>& answer) {
      try {
        if (thrown) std::rethrow_exception(thrown);
        end = !answer ? "timed out" : answer->addresses.empty() ? answer->error : answer->addresses.front().to_string();
      } catch (const boost::system::system_error& error) {
        end = error.code() == boost::asio::error::operation_aborted ? "cancelled" : error.what();
      }
    };
    boost::asio::co_spawn(io, lookup.find(host, NameLookup::Clock::now() + timeout),
                          boost::asio::bind_cancellation_slot(cancel.slot(), std::move(on_end)));
  }
};

constexpr std::chrono::minutes ever{10};

std::string found(NameLookup& lookup, const std::string& host) {
  boost::asio::io_context io;
  Wait wait;
  wait.begin(io, lookup, host, ever);
  io.run();
  return wait.end;
}

TEST(NameLookup, AnAddressIsNotLookedUp) {
  NameLookup lookup([](const std::string&) -> Answer { throw std::logic_error("asked"); });
  EXPECT_EQ(found(lookup, "127.0.0.1"), "127.0.0.1");
  EXPECT_EQ(found(lookup, "::1"), "::1");
}

TEST(NameLookup, TheSystemsAnswer) {
  NameLookup lookup;
  // Every system knows it (inet_aton), also one without /etc/hosts.
  EXPECT_EQ(found(lookup, "127.1"), "127.0.0.1");
  const std::string none = found(lookup, "a..b");
  EXPECT_NE(none.find("ame"), std::string::npos) << none;
}

TEST(NameLookup, AFailureIsItsAnswer) {
  NameLookup lookup([](const std::string& host) -> Answer { throw std::runtime_error("no " + host); });
  EXPECT_EQ(found(lookup, "h"), "no h");
}

TEST(NameLookup, AWaitEndsWhenItIsCancelledOrTooLong) {
  SlowNames names;
  NameLookup lookup(names.resolve());
  boost::asio::io_context io;
  Wait cancelled;
  Wait late;
  cancelled.begin(io, lookup, "a", ever);
  late.begin(io, lookup, "b", std::chrono::milliseconds(20));
  boost::asio::post(io, [&] {
    names.until_asked(2);
    cancelled.cancel.emit(boost::asio::cancellation_type::all);
  });
  io.run();
  EXPECT_EQ(cancelled.end, "cancelled");
  EXPECT_EQ(late.end, "timed out");
}

TEST(NameLookup, TheEndOfTheContextWaitsForNobody) {
  SlowNames names;
  {
    NameLookup lookup(names.resolve());
    Wait wait;
    {
      boost::asio::io_context io;
      wait.begin(io, lookup, "a", ever);
      io.poll();
      names.until_asked(1);
    }
    EXPECT_EQ(wait.end, "none");
  }
  names.open();  // answers now, to nobody
}

TEST(NameLookup, ThreadsAreBoundedAndWhoGaveUpIsNotAskedFor) {
  SlowNames names;
  NameLookup lookup(names.resolve(), 2);
  boost::asio::io_context io;
  std::array<Wait, 5> waits;
  for (std::size_t i = 0; i < waits.size(); ++i) waits.at(i).begin(io, lookup, std::string(1, static_cast<char>('a' + i)), ever);
  boost::asio::post(io, [&] {
    names.until_asked(2);
    waits.at(3).cancel.emit(boost::asio::cancellation_type::all);
  });
  while (waits.at(3).end == "none") io.run_one();
  names.open();
  io.run();
  EXPECT_EQ(waits.at(3).end, "cancelled");
  for (const std::size_t i : {0U, 1U, 2U, 4U}) EXPECT_EQ(waits.at(i).end, "192.0.2.1") << i;
  EXPECT_EQ(names.asked(), (std::multiset<std::string>{"a", "b", "c", "e"}));
  EXPECT_EQ(names.most(), 2U);
}

}  // namespace
}  // namespace stint::tasks
