// Permits and their lines as a value: order, all or none, who may pass whom, and random events against check() and a model.
#include "daemon/core/admission.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace stint::core {
namespace {

using Kind = Admission::Change::Kind;

Need lock(const std::string& name) { return {PermitKind::lock, name, 1}; }
Need gpu(std::uint64_t permits) { return {PermitKind::semaphore, "gpu", permits}; }
Need key(std::uint64_t limit) { return {PermitKind::concurrency, "key", 1, limit}; }

struct AdmissionTest : ::testing::Test {
  /// Joins behind everybody else; returns the waiter.
  WaiterId call(const std::vector<Need>& needs) { return join(of_call(++last), needs); }
  WaiterId job(const std::vector<Need>& needs) { return join(++last, needs); }
  WaiterId join(WaiterId id, const std::vector<Need>& needs, std::int64_t before = 0) {
    changed([&] { admission.join({static_cast<std::int64_t>(last) - before, id}, needs, now); });
    return id;
  }
  void leave(WaiterId id) {
    changed([&] { admission.leave(id, now); });
  }
  bool take(WaiterId id) {
    bool taken = false;
    changed([&] { taken = admission.take(id, now); });
    return taken;
  }
  void resize(std::uint64_t permits) {
    changed([&] { admission.resize("gpu", permits, now); });
  }
  template <class Work>
  void changed(Work&& work) {
    admission.changes.clear();
    work();
    admission.yield(now);  // nobody here has a slot for a job
    admission.check();
  }
  bool granted(WaiterId id) const {
    return std::ranges::any_of(admission.changes, [id](const auto& each) { return each.kind == Kind::granted && each.id == id; });
  }

  Admission admission;
  Time now{std::chrono::seconds(1'000)};
  std::uint64_t last = 0;
};

TEST_F(AdmissionTest, ALockGoesToOneAfterTheOther) {
  const auto first = call({lock("a")});
  EXPECT_TRUE(granted(first));
  const auto second = call({lock("a")});
  const auto third = call({lock("a")});
  EXPECT_FALSE(granted(second));
  const auto other = call({lock("b")});
  EXPECT_TRUE(granted(other)) << "another lock";
  EXPECT_EQ(admission.lacks(third).at(0).ahead, 1U);
  leave(first);
  EXPECT_TRUE(granted(second) && !granted(third));
  leave(third);
  leave(second);
  EXPECT_TRUE(admission.changes.empty());
  EXPECT_EQ(admission.names(PermitKind::lock), std::vector<std::string_view>{"b"}) << "what nobody needs is gone";
}

TEST_F(AdmissionTest, WhoLeavesPassesTheTurnOn) {
  const auto holder = call({lock("a")});
  const auto leaves = call({lock("a")});
  const auto next = call({lock("a")});
  leave(leaves);
  leave(holder);
  EXPECT_TRUE(granted(next));
  // One that is served and leaves at once.
  const auto last_one = call({lock("a")});
  leave(next);
  leave(last_one);
  EXPECT_TRUE(admission.names(PermitKind::lock).empty());
}

TEST_F(AdmissionTest, TheLineIsOrderedByTheStaticKey) {
  const auto holder = call({lock("a")});
  const auto usual = call({lock("a")});
  const auto urgent = join(of_call(++last), {lock("a")}, 10);
  EXPECT_EQ(admission.lacks(urgent).at(0).ahead, 0U);
  leave(holder);
  EXPECT_TRUE(granted(urgent) && !granted(usual));
}

TEST_F(AdmissionTest, AllOrNone) {
  const auto a = call({lock("a")});
  const auto both = call({lock("a"), lock("b")});
  EXPECT_FALSE(granted(both));
  const auto b = call({lock("b")});
  EXPECT_TRUE(granted(b)) << "nobody holds what he does not use";
  leave(a);
  EXPECT_FALSE(granted(both));
  leave(b);
  EXPECT_TRUE(granted(both));
  EXPECT_EQ(admission.state_of(PermitKind::lock, "a").used, 1U);
  EXPECT_EQ(admission.state_of(PermitKind::lock, "b").used, 1U);
}

TEST_F(AdmissionTest, AFreedPermitGoesToTheFirstWhoseWholeNeedCanBeMet) {
  resize(2);
  const auto holder = call({gpu(1)});
  const auto large = call({gpu(2)});
  const auto small = call({gpu(1)});
  EXPECT_FALSE(granted(large));
  EXPECT_TRUE(admission.holds(small)) << "one is free, and it is enough for this one";
  leave(holder);
  leave(small);
  EXPECT_TRUE(granted(large));
}

TEST_F(AdmissionTest, WhoHasBeenPassedOftenIsPassedNoMore) {
  resize(2);
  auto holder = call({gpu(1)});
  const auto large = call({gpu(2)});
  for (std::uint64_t i = 0; i < Admission::passes_max; ++i) {
    const auto small = call({gpu(1)});
    ASSERT_TRUE(admission.holds(small)) << "pass " << i;
    leave(std::exchange(holder, small));
  }
  const auto late = call({gpu(1)});
  EXPECT_FALSE(admission.holds(late)) << "one is free and kept";
  leave(holder);
  EXPECT_TRUE(granted(large));
  EXPECT_FALSE(granted(late));
  leave(large);
  EXPECT_TRUE(granted(late));
}

TEST_F(AdmissionTest, WhoHasBeenPassedForLongIsPassedNoMore) {
  resize(2);
  const auto holder = call({gpu(1)});
  const auto large = call({gpu(2)});
  const auto small = call({gpu(1)});
  leave(small);
  now += Admission::passed_max - Duration(1);
  const auto another = call({gpu(1)});
  EXPECT_TRUE(granted(another));
  leave(another);
  now += Duration(1);
  EXPECT_FALSE(admission.holds(call({gpu(1)})));
  leave(large);
  EXPECT_EQ(admission.changes.size(), 1U) << "and when that one leaves, the other goes on";
  leave(holder);
}

TEST_F(AdmissionTest, AJobTakesWhatItNeedsWhenItStarts) {
  const auto first = job({lock("a")});
  const auto second = job({lock("a")});
  EXPECT_TRUE(admission.is_ready(first));
  EXPECT_FALSE(admission.is_ready(second)) << "one offer a permit";
  EXPECT_EQ(admission.state_of(PermitKind::lock, "a").used, 0U);
  const auto caller = call({lock("a")});
  EXPECT_TRUE(granted(caller)) << "a job that waits for a slot keeps nobody waiting";
  EXPECT_FALSE(admission.is_ready(first));
  leave(caller);
  EXPECT_TRUE(admission.is_ready(first));
  EXPECT_TRUE(take(first));
  leave(first);
  EXPECT_TRUE(admission.is_ready(second));
}

TEST_F(AdmissionTest, AJobIsNotPassedByACallWhileItMayStart) {
  const auto holder = call({lock("a")});
  const auto waits = job({lock("a")});
  const auto behind = call({lock("a")});
  admission.changes.clear();
  admission.leave(holder, now);
  EXPECT_TRUE(admission.is_ready(waits));
  EXPECT_FALSE(admission.holds(behind)) << "it starts now, or says that it cannot";
  EXPECT_TRUE(admission.is_contested());
  EXPECT_TRUE(admission.take(waits, now));
  admission.yield(now);
  EXPECT_FALSE(admission.holds(behind));
  leave(waits);
  EXPECT_TRUE(granted(behind));
}

TEST_F(AdmissionTest, AJobThatGoesFirstIsOfferedFirst) {
  resize(2);
  const auto one = job({gpu(1)});
  const auto two = job({gpu(1)});
  const auto urgent = join(++last, {gpu(1)}, 100);
  EXPECT_TRUE(admission.is_ready(one) && admission.is_ready(urgent) && !admission.is_ready(two));
  const auto large = join(++last, {gpu(2)}, 200);
  EXPECT_TRUE(admission.is_ready(large) && !admission.is_ready(one) && !admission.is_ready(urgent));
  leave(large);
  EXPECT_TRUE(admission.is_ready(urgent) && admission.is_ready(one));
}

TEST_F(AdmissionTest, AConcurrencyKeyNeedsNoSize) {
  const auto one = job({key(2)});
  const auto two = job({key(2)});
  const auto three = job({key(2)});
  const auto strict = job({key(1)});
  EXPECT_TRUE(take(one) && take(two));
  EXPECT_FALSE(admission.is_ready(three) || admission.is_ready(strict));
  leave(one);
  EXPECT_TRUE(admission.is_ready(three) && !admission.is_ready(strict));
  EXPECT_TRUE(take(three));
  leave(two);
  leave(three);
  EXPECT_TRUE(admission.is_ready(strict));
}

TEST_F(AdmissionTest, ALimitOfItsOwnIsLookedAtAgainAtTheStart) {
  const auto wide = job({key(9)});
  const auto strict = join(++last, {key(1)}, 100);
  EXPECT_TRUE(admission.is_ready(wide) && admission.is_ready(strict));
  EXPECT_TRUE(take(wide));
  EXPECT_FALSE(take(strict));
  EXPECT_FALSE(admission.is_ready(strict));
  leave(wide);
  EXPECT_TRUE(admission.is_ready(strict));
}

TEST_F(AdmissionTest, TheSizeMayChange) {
  const auto waits = call({gpu(3)});
  EXPECT_EQ(admission.size_of("gpu"), 0U);
  resize(3);
  EXPECT_TRUE(granted(waits));
  resize(1);
  const auto offered = job({gpu(1)});
  EXPECT_FALSE(admission.is_ready(offered)) << "more is held than there is";
  leave(waits);
  EXPECT_TRUE(admission.is_ready(offered));
  resize(0);
  EXPECT_FALSE(admission.is_ready(offered));
}

TEST_F(AdmissionTest, WhatWasHeldBeforeIsHeld) {
  changed([&] { admission.restore({1, 7}, {lock("a"), gpu(2)}, now); });
  const auto waits = call({lock("a")});
  EXPECT_FALSE(granted(waits));
  leave(7);
  EXPECT_TRUE(granted(waits));
}

// A hundred thousand in line for one lock: each hand-over touches one of them.
TEST_F(AdmissionTest, ALongLineCostsNothing) {
  constexpr std::uint64_t many = 100'000;
  for (std::uint64_t i = 1; i <= many; ++i) admission.join({static_cast<std::int64_t>(i), i}, {lock("a")}, now);
  admission.check();
  EXPECT_EQ(admission.lacks(many).at(0).ahead, many - 1);
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 1; i <= many; ++i) {
    ASSERT_TRUE(admission.take(i, now));
    admission.leave(i, now);
    admission.changes.clear();
  }
  // Some 0.1 s; were the line walked through, it would be hours.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

/// What is known of a waiter outside: enough to see whether anybody was treated badly.
struct Modelled {
  Place place;
  std::vector<Need> needs;
  bool holding = false;
};

TEST_F(AdmissionTest, RandomEventsKeepEveryPromise) {
  for (unsigned seed = 1; seed <= 16; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto below = [&](std::uint64_t bound) { return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random); };
    admission = Admission();
    std::map<WaiterId, Modelled> waiters;
    std::uint64_t size = 4;
    resize(size);
    const auto any = [&](bool holding) -> WaiterId {
      std::vector<WaiterId> some;
      for (const auto& [id, each] : waiters) {
        if (each.holding == holding) some.push_back(id);
      }
      return some.empty() ? 0 : some[below(some.size())];
    };
    const auto holds_now = [&](WaiterId id) {
      Modelled& one = waiters.at(id);
      one.holding = true;
      for (const Need& need : one.needs) {
        const auto state = admission.state_of(need.kind, need.name);
        const bool sized = need.kind == PermitKind::semaphore;
        // Those who share a key may allow more of it than this one.
        EXPECT_LE(state.used, need.kind == PermitKind::lock ? 1 : sized ? size : 3);
      }
    };
    const auto look = [&] {
      if (below(2) == 0) admission.yield(now);
      for (const auto& change : std::exchange(admission.changes, {})) {
        if (change.kind == Kind::granted) holds_now(change.id);
      }
      admission.check();
    };
    for (unsigned i = 0; i < 2'000; ++i) {
      now += Duration(below(100'000));
      switch (below(7)) {
        case 0:
        case 1: {
          if (waiters.size() > 60) break;
          std::vector<Need> needs;
          if (below(2) == 0) needs.push_back(lock(below(2) == 0 ? "a" : "b"));
          if (below(3) == 0) needs.push_back(gpu(1 + below(4)));
          if (below(4) == 0) needs.push_back(key(1 + below(3)));
          if (needs.empty()) needs.push_back(gpu(1));
          const WaiterId id = below(2) == 0 ? of_call(++last) : ++last;
          const Place place{static_cast<std::int64_t>(last) - static_cast<std::int64_t>(below(3) == 0 ? below(30) : 0), id};
          waiters[id] = {place, needs, false};
          admission.join(place, needs, now);
          break;
        }
        case 2:
        case 3: {
          // Whoever is ready starts when its slot is there.
          const WaiterId id = any(false);
          if (id != 0 && admission.is_ready(id) && admission.take(id, now)) holds_now(id);
          break;
        }
        case 4:
        case 5: {
          const WaiterId id = any(true);
          if (id == 0) break;
          admission.leave(id, now);
          waiters.erase(id);
          break;
        }
        default: {
          if (below(10) == 0) {
            size = 4 + below(3);
            // A larger need than the size is refused before it comes here.
            resize(size);
          } else if (const WaiterId id = any(false); id != 0 && below(4) == 0) {
            admission.leave(id, now);
            waiters.erase(id);
          }
        }
      }
      look();
    }
    // Everybody comes to his turn.
    while (!waiters.empty()) {
      const auto before = waiters.size();
      for (const auto& [id, one] : std::map(waiters)) {
        if (!one.holding && admission.is_ready(id) && admission.take(id, now)) holds_now(id);
        look();
      }
      for (const auto& [id, one] : std::map(waiters)) {
        if (!waiters.at(id).holding) continue;
        admission.leave(id, now);
        waiters.erase(id);
        look();
      }
      ASSERT_LT(waiters.size(), before) << "nobody's turn comes any more";
    }
    EXPECT_TRUE(admission.names(PermitKind::lock).empty());
  }
}

}  // namespace
}  // namespace stint::core
