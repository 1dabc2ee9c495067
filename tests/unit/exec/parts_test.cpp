// The parts that the executors of tasks are made of: deadlines, mailbox, progress, endings.
#include <gtest/gtest.h>

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <thread>

#include "common/progress_cell.hpp"
#include "common/task_run.hpp"
#include "daemon/exec/deadlines.hpp"
#include "daemon/exec/mailbox.hpp"

namespace stint::exec {
namespace {

using namespace std::chrono_literals;

TEST(Deadlines, FireInTheOrderOfTheirTimes) {
  boost::asio::io_context io;
  std::vector<JobId> fired;
  Deadlines deadlines(io, [&](Deadlines::Entry entry) { fired.push_back(entry.id); });
  // The order is that of the times as they came out, however slow the machine was between the calls.
  std::map<Deadlines::Clock::time_point, JobId> expected;
  for (const auto& [id, from_now] : {std::pair<JobId, Duration>{3, 30ms}, {1, 10ms}, {2, 20ms}}) {
    expected[deadlines.add(from_now, {id, Due::timeout})->first] = id;
  }
  deadlines.remove(deadlines.add(5ms, {9, Due::grace}));
  io.run();
  std::vector<JobId> in_order;
  for (const auto& [time, id] : expected) in_order.push_back(id);
  EXPECT_EQ(fired, in_order);
}

TEST(Deadlines, AnEmptyOneLetsTheContextRest) {
  boost::asio::io_context io;
  Deadlines deadlines(io, [](Deadlines::Entry) { FAIL(); });
  deadlines.remove(deadlines.add(600s, {1, Due::timeout}));
  io.run();
  SUCCEED();
}

TEST(Deadlines, MayBeAddedAndRemovedWhileTheyFire) {
  boost::asio::io_context io;
  std::vector<JobId> fired;
  std::optional<Deadlines::Handle> later;
  Deadlines* self = nullptr;
  Deadlines deadlines(io, [&](Deadlines::Entry entry) {
    fired.push_back(entry.id);
    if (entry.id == 1) {
      self->remove(*later);
      static_cast<void>(self->add(1ms, {3, Due::grace}));
    }
  });
  self = &deadlines;
  static_cast<void>(deadlines.add(1ms, {1, Due::timeout}));
  later = deadlines.add(600s, {2, Due::timeout});
  io.run();
  EXPECT_EQ(fired, (std::vector<JobId>{1, 3}));
}

TEST(Deadlines, OneThatIsGoneIsNotCalled) {
  boost::asio::io_context io;
  {
    Deadlines deadlines(io, [](Deadlines::Entry) { FAIL(); });
    static_cast<void>(deadlines.add(0ms, {1, Due::timeout}));
  }
  io.run();
}

TEST(Mailbox, DeliversAllInOrderFromManyThreads) {
  boost::asio::io_context io;
  auto work = boost::asio::make_work_guard(io);
  constexpr int each = 20'000;
  std::array<int, 3> next{};
  int left = each * 3;
  Mailbox<std::pair<int, int>> mailbox(io, [&](std::pair<int, int> value) {
    EXPECT_EQ(next[static_cast<std::size_t>(value.first)]++, value.second);
    if (--left == 0) work.reset();
  });
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&mailbox, t] {
        for (int i = 0; i < each; ++i) mailbox.put({t, i});
      });
    }
    io.run();
  }
  EXPECT_EQ(left, 0);
}

TEST(Mailbox, APutInsideAReceiveComesLater) {
  boost::asio::io_context io;
  std::vector<int> received;
  Mailbox<int>* self = nullptr;
  Mailbox<int> mailbox(io, [&](int value) {
    received.push_back(value);
    if (value < 3) self->put(value + 1);
  });
  self = &mailbox;
  mailbox.put(0);
  io.run();
  EXPECT_EQ(received, (std::vector<int>{0, 1, 2, 3}));
}

TEST(Mailbox, OneThatIsGoneReceivesNothing) {
  boost::asio::io_context io;
  {
    Mailbox<int> mailbox(io, [](int) { FAIL(); });
    mailbox.put(1);
  }
  io.run();
}

TEST(ProgressCell, WakesOnlyWhoIsNotLooking) {
  ProgressCell cell;
  EXPECT_FALSE(cell.take().has_value());
  EXPECT_TRUE(cell.set(0.1, "a"));
  EXPECT_FALSE(cell.set(0.2, "b"));  // already woken
  EXPECT_EQ(cell.take()->text, "b");
  EXPECT_FALSE(cell.set(0.3, "c"));  // will look again
  EXPECT_EQ(cell.take()->value, 0.3);
  EXPECT_FALSE(cell.take().has_value());
  EXPECT_TRUE(cell.set(0.4, ""));
}

TEST(ProgressCell, HoldsToItsBounds) {
  ProgressCell cell;
  const auto kept = [&cell](double value, std::string text = "") {
    static_cast<void>(cell.set(value, std::move(text)));
    return *cell.take();
  };
  EXPECT_EQ(kept(-1).value, 0);
  EXPECT_EQ(kept(2).value, 1);
  EXPECT_EQ(kept(std::numeric_limits<double>::quiet_NaN()).value, 0);
  const std::string at(limits::progress_text_bytes_max, 'x');
  EXPECT_EQ(kept(0, at).text, at);
  EXPECT_EQ(kept(0, at + "y").text, at);
  // A character is not cut in two.
  EXPECT_EQ(kept(0, at.substr(1) + "é").text, at.substr(1));
}

std::pair<std::string, std::string> failure(const TaskEnding& ending) {
  const auto& error = std::get<EndReport::Failed>(ending).error;
  return {error.kind, error.message};
}

template <class Thrown>
std::pair<std::string, std::string> failure_of(const Thrown& thrown) {
  return failure(task_threw(std::make_exception_ptr(thrown)));
}

TEST(TaskRun, ExceptionsBecomeErrors) {
  using Pair = std::pair<std::string, std::string>;
  EXPECT_EQ(failure_of(TaskError("k", "m")), Pair("k", "m"));
  EXPECT_EQ(failure_of(std::runtime_error("m")), Pair("exception", "m"));
  EXPECT_EQ(failure_of(std::bad_alloc()), Pair("exception", "the task ran out of memory"));
  EXPECT_EQ(failure_of(1), Pair("exception", "the task threw something that is no std::exception"));
  EXPECT_EQ(failure_of(boost::system::system_error(boost::asio::error::operation_aborted)),
            Pair("stopped", "the task was stopped"));
  EXPECT_EQ(failure_of(boost::system::system_error(boost::asio::error::eof)).first, "exception");
}

TEST(TaskRun, TextsAreCutAndMadeUtf8) {
  const std::string at(limits::task_error_bytes_max, 'm');
  EXPECT_EQ(failure(task_failed("k", at)).second, at);
  EXPECT_EQ(failure(task_failed("k", at + "n")).second, at);
  EXPECT_EQ(failure(task_failed("k", at.substr(1) + "é")).second, at.substr(1));
  EXPECT_EQ(failure(task_failed("k",
                                "a\xFF"
                                "b"))
                .second,
            "a\xEF\xBF\xBD"
            "b");
}

TEST(TaskRun, ArgumentsAreDecodedOnce) {
  EXPECT_TRUE(decode_task_args("").is_null());
  EXPECT_EQ(decode_task_args(R"([1,2])").dump(), "[1,2]");
  EXPECT_THROW(static_cast<void>(decode_task_args("[1,")), TaskError);
}

}  // namespace
}  // namespace stint::exec
