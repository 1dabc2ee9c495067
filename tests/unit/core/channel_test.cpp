// Channels and named events as values, and channels against a plain model under random calls.
#include "daemon/core/channel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "common/limits.hpp"
#include "daemon/core/named_events.hpp"

namespace stint::core {
namespace {

struct ChannelTest : ::testing::Test {
  template <class Work>
  void work(Work&& change) {
    out.clear();
    Effects effects;
    {
      Step step(Time{}, newest, effects);
      change(step);
    }
    channels.check();
  }
  void open(std::uint64_t capacity, bool durable = false) {
    work([&](Step& step) { changed = channels.open("c", capacity, durable, step, out); });
  }
  CallId put(const std::string& text) {
    work([&](Step& step) { channels.put(++calls, "c", json::Raw{text}, step, out); });
    return calls;
  }
  CallId get(std::uint64_t count = 1) {
    work([&](Step& step) { channels.get(++calls, "c", count, step, out); });
    return calls;
  }
  void durable(PersistNumber number) {
    channels.on_durable(number);
    work([&](Step& step) { channels.serve_decided(step, out); });
  }
  void refuse(PersistNumber number) {
    out.clear();
    channels.on_refused(number, out);
    channels.check();
  }
  /// What the call came to in the last step: its items, "ok", "closed", the kind of an error, or "waits".
  std::string answer(CallId call) {
    for (const ChannelAnswer& one : out) {
      if (one.call != call) continue;
      if (const auto* error = std::get_if<Error>(&one.what)) return std::string(error_name(error->kind()));
      if (std::holds_alternative<ChannelAnswer::Closed>(one.what)) return "closed";
      if (std::holds_alternative<ChannelAnswer::Accepted>(one.what)) return "ok";
      std::string text;
      for (const auto& item : std::get<ChannelAnswer::Items>(one.what).items) text += item.value->text + " ";
      return text;
    }
    return channels.waits(call) ? "waits" : "gone";
  }
  ChannelAnswer::Items taken(CallId call) {
    for (const ChannelAnswer& one : out) {
      if (one.call == call) return std::get<ChannelAnswer::Items>(one.what);
    }
    return {};
  }
  ErrorKind kind_of(const std::function<void()>& change) {
    try {
      change();
    } catch (const Error& error) {
      channels.check();
      return error.kind();
    }
    return ErrorKind::internal_error;
  }

  Channels channels;
  ChannelAnswers out;
  PersistNumber newest = 0;
  Changed changed;
  CallId calls = 0;
};

TEST_F(ChannelTest, FirstInFirstOutAndBothSidesWait) {
  open(2);
  EXPECT_EQ(answer(put("1")), "ok");
  EXPECT_EQ(answer(put("2")), "ok");
  const CallId third = put("3");
  const CallId fourth = put("4");
  EXPECT_EQ(answer(third), "waits");
  EXPECT_EQ(answer(get()), "1 ");
  EXPECT_EQ(answer(third), "ok") << "the room goes to who has waited longest";
  EXPECT_EQ(answer(get(10)), "2 3 ");
  EXPECT_EQ(answer(fourth), "ok");
  EXPECT_EQ(answer(get()), "4 ");
  const CallId first = get();
  const CallId second = get();
  put("5");
  EXPECT_EQ(answer(first), "5 ");
  EXPECT_EQ(answer(second), "waits");
}

TEST_F(ChannelTest, WhoLeavesIsNotServed) {
  open(1);
  const CallId gone = get();
  const CallId next = get();
  work([&](Step& step) { channels.leave(gone, step, out); });
  put("1");
  EXPECT_EQ(answer(next), "1 ");
  EXPECT_EQ(answer(gone), "gone");
}

TEST_F(ChannelTest, WhatCannotBeHandedOverGoesBackToTheHead) {
  open(3);
  put("1");
  put("2");
  put("3");
  const auto first = taken(get());
  const auto second = taken(get());
  const CallId late = put("4");
  EXPECT_EQ(answer(late), "ok");
  work([&](Step& step) { channels.give_back(second, step, out); });
  work([&](Step& step) { channels.give_back(first, step, out); });
  EXPECT_EQ(answer(get(10)), "1 2 3 4 ");
}

TEST_F(ChannelTest, WhatGoesBackGoesToWhoWaits) {
  open(1);
  put("1");
  const auto items = taken(get());
  const CallId waits = get();
  work([&](Step& step) { channels.give_back(items, step, out); });
  EXPECT_EQ(answer(waits), "1 ");
  work([&](Step& step) { channels.remove("c", step, out); });
  open(1);
  work([&](Step& step) { channels.give_back(items, step, out); });
  EXPECT_EQ(channels.list().front().items, 0U) << "another channel of the name";
}

TEST_F(ChannelTest, CloseLetsTheRestBeTaken) {
  open(1);
  put("1");
  const CallId waits = put("2");
  work([&](Step& step) { channels.close("c", step, out); });
  EXPECT_EQ(answer(waits), "conflict");
  EXPECT_EQ(kind_of([&] { put("3"); }), ErrorKind::conflict);
  EXPECT_EQ(answer(get(5)), "1 ");
  EXPECT_EQ(answer(get()), "closed");
  open(2);
  EXPECT_EQ(answer(put("4")), "ok") << "opened again";
  get();
  const CallId last = get();
  work([&](Step& step) { channels.close("c", step, out); });
  EXPECT_EQ(answer(last), "closed");
}

TEST_F(ChannelTest, RemoveTellsWhoWaits) {
  open(1);
  put("1");
  const CallId putting = put("2");
  work([&](Step& step) { channels.remove("c", step, out); });
  EXPECT_EQ(answer(putting), "not_found");
  EXPECT_EQ(kind_of([&] { get(); }), ErrorKind::not_found);
}

TEST_F(ChannelTest, TheCapacityMayChange) {
  open(1);
  put("1");
  const CallId waits = put("2");
  open(2);
  EXPECT_EQ(answer(waits), "ok");
  open(1);
  const CallId full = put("3");
  get();
  EXPECT_EQ(answer(full), "waits");
  EXPECT_EQ(kind_of([&] { open(1, true); }), ErrorKind::conflict) << "durable or not is settled when it is made";
}

TEST_F(ChannelTest, ADurableItemIsTakenWhenItsPutIsOnDisk) {
  open(5, true);
  EXPECT_EQ(answer(put("1")), "ok");
  const CallId waits = get();
  EXPECT_EQ(answer(waits), "waits");
  durable(newest);
  EXPECT_EQ(answer(waits), "1 ");
  EXPECT_EQ(out.front().after, newest) << "the take is a fact too";
}

TEST_F(ChannelTest, ARefusedPutLeavesNoTrace) {
  open(1, true);
  durable(newest);
  put("1");
  const PersistNumber refused = newest;
  const CallId behind = put("2");
  refuse(refused);
  durable(refused);
  EXPECT_EQ(answer(behind), "ok") << "there is room again";
  durable(newest);
  EXPECT_EQ(answer(get()), "2 ");
}

TEST_F(ChannelTest, ARefusedChannelNeverWas) {
  open(1, true);
  const PersistNumber made = newest;
  put("1");
  const CallId full = put("2");
  refuse(newest);
  refuse(made);
  EXPECT_TRUE(channels.list().empty());
  EXPECT_EQ(answer(full), "not_found") << "who waits there is told";
  EXPECT_TRUE(channels.was_refused(1)) << "a put that was recorded meanwhile has gone nowhere";
  open(2);
  durable(newest);
  EXPECT_EQ(channels.list().front().durable, false) << "the name is free again";
}

TEST_F(ChannelTest, WhatBecameOfARefusedChannelMeanwhileStands) {
  open(1, true);
  open(2, true);
  EXPECT_TRUE(changed.is_new_work) << "else it would be made without having been asked for";
  refuse(newest - 1);
  EXPECT_EQ(channels.list().front().capacity, 2U);
  durable(newest);
  open(3, true);
  EXPECT_FALSE(changed.is_new_work) << "it is there: that needs no room";
  work([&](Step& step) { channels.remove("c", step, out); });
  open(1, true);
  open(2, true);
  const PersistNumber again = newest;
  durable(again - 1);
  refuse(again);
  EXPECT_EQ(channels.list().front().capacity, 1U) << "as it is on disk";
}

TEST_F(ChannelTest, BytesAreBoundedToo) {
  open(limits::channel_items_max);
  const std::string large(limits::channel_item_bytes_max, '1');
  for (std::size_t i = 0; i < limits::channel_bytes_max / limits::channel_item_bytes_max; ++i)
    EXPECT_EQ(answer(put(large)), "ok");
  const CallId waits = put("2");
  EXPECT_EQ(answer(waits), "waits");
  const auto items = taken(get(1'000));
  EXPECT_EQ(items.items.size(), limits::channel_answer_bytes_max / limits::channel_item_bytes_max);
  EXPECT_EQ(answer(waits), "ok");
}

TEST_F(ChannelTest, AsManyAsThereMayBe) {
  for (std::size_t i = 0; i < limits::channels_max; ++i) {
    Effects effects;
    Step step(Time{}, newest, effects);
    channels.open("c" + std::to_string(i), 1, false, step, out);
  }
  EXPECT_EQ(kind_of([&] { open(1); }), ErrorKind::limit_exceeded);
}

// Against a model: a list that is pushed and popped; each item is delivered once, in order, whatever is given back.
TEST_F(ChannelTest, RandomCallsLoseAndDoubleNothing) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto below = [&](unsigned bound) { return std::uniform_int_distribution<unsigned>(0, bound - 1)(random); };
    channels = Channels();
    newest = 0;
    const bool on_disk = seed % 2 == 0;
    open(1 + below(5), on_disk);
    std::set<std::string> accepted;
    std::set<std::string> delivered;
    std::set<CallId> waiting;
    std::map<CallId, std::string> sent;
    std::map<PersistNumber, std::vector<std::string>> undecided;
    PersistNumber decided = 0;
    const auto look = [&] {
      std::deque<ChannelAnswer> told(out.begin(), out.end());
      for (; !told.empty(); told.pop_front()) {
        const ChannelAnswer one = told.front();
        waiting.erase(one.call);
        if (std::holds_alternative<ChannelAnswer::Accepted>(one.what)) {
          accepted.insert(sent.at(one.call));
          if (one.after > 0) undecided[one.after].push_back(sent.at(one.call));
        } else if (const auto* items = std::get_if<ChannelAnswer::Items>(&one.what)) {
          if (below(4) == 0) {
            work([&](Step& step) { channels.give_back(*items, step, out); });
            told.insert(told.end(), out.begin(), out.end());
            continue;
          }
          for (const auto& item : items->items) {
            EXPECT_TRUE(delivered.insert(item.value->text).second) << item.value->text << " came twice";
          }
        }
      }
      out.clear();
    };
    for (unsigned i = 0; i < 2'000; ++i) {
      switch (below(5)) {
        case 0:
        case 1: {
          sent[calls + 1] = std::to_string(i);
          waiting.insert(put(std::to_string(i)));
          break;
        }
        case 2: waiting.insert(get(1 + below(3))); break;
        case 3:
          if (!waiting.empty()) {
            const CallId one = *std::next(waiting.begin(), below(static_cast<unsigned>(waiting.size())));
            waiting.erase(one);
            work([&](Step& step) { channels.leave(one, step, out); });
          }
          break;
        default:
          while (decided < newest && below(3) != 0) {
            ++decided;
            if (undecided.contains(decided) && below(4) == 0) {
              channels.on_refused(decided, out);
              for (const auto& text : undecided[decided]) accepted.erase(text);
            }
            durable(decided);
            look();
          }
      }
      look();
    }
    while (!waiting.empty()) {
      const CallId one = *waiting.begin();
      waiting.erase(one);
      work([&](Step& step) { channels.leave(one, step, out); });
      look();
    }
    while (decided < newest || channels.list().front().items > 0) {
      durable(decided = newest);
      look();
      waiting.insert(get(1'000));
      look();
    }
    EXPECT_EQ(delivered, accepted) << "what was accepted has arrived, and nothing else";
    EXPECT_GT(accepted.size(), 100U);
  }
}

struct NamedEventsTest : ::testing::Test {
  NamedEvents::Woken set(const std::string& name) {
    Effects effects;
    Step step(Time{}, newest, effects);
    auto woken = events.set(name, step);
    events.check();
    return woken;
  }
  void clear(const std::string& name) {
    Effects effects;
    Step step(Time{}, newest, effects);
    events.clear(name, step);
    events.check();
  }
  NamedEvents events;
  PersistNumber newest = 0;
};

TEST_F(NamedEventsTest, SetWakesAllWhoWait) {
  EXPECT_FALSE(events.wait(1, "go"));
  EXPECT_FALSE(events.wait(2, "go"));
  EXPECT_FALSE(events.wait(3, "stop"));
  events.leave(2);
  events.check();
  EXPECT_EQ(set("go").calls, std::vector<CallId>{1});
  EXPECT_EQ(newest, 1U) << "it is a fact";
  EXPECT_TRUE(set("go").calls.empty());
  EXPECT_EQ(newest, 1U) << "nothing has changed";
  EXPECT_TRUE(events.wait(4, "go"));
  clear("go");
  EXPECT_FALSE(events.is_set("go"));
  EXPECT_FALSE(events.wait(5, "go"));
}

TEST_F(NamedEventsTest, ARefusedSetLeavesNoTrace) {
  EXPECT_FALSE(events.wait(1, "go"));
  set("go");
  EXPECT_EQ(set("go").changed.after, newest) << "this one hangs on it too";
  EXPECT_TRUE(set("go").changed.is_new_work);
  events.on_refused(newest);
  EXPECT_TRUE(events.list().empty());
  EXPECT_FALSE(events.wait(1, "go")) << "who was woken waits anew";
  set("go");
  const PersistNumber first = newest;
  clear("go");
  set("go");
  events.on_refused(first);
  EXPECT_TRUE(events.is_set("go")) << "it was set again";
  EXPECT_EQ(events.set_in("go"), newest);
  events.on_durable(newest);
  EXPECT_EQ(events.set_in("go"), 0U);
  EXPECT_FALSE(set("go").changed.is_new_work);
}

TEST_F(NamedEventsTest, AsManyAsThereMayBe) {
  for (std::size_t i = 0; i < limits::events_max; ++i) set("e" + std::to_string(i));
  EXPECT_THROW(set("one more"), Error);
  EXPECT_THROW(events.wait(1, "one more"), Error);
  clear("e0");
  set("one more");
}

TEST_F(NamedEventsTest, WhoLeavesLeavesNothing) {
  events.wait(1, "go");
  events.leave(1);
  EXPECT_TRUE(events.list().empty());
}

}  // namespace
}  // namespace stint::core
