// Idempotency keys: each lives as long as any job of its call.
#include "daemon/core/key_table.hpp"

#include <gtest/gtest.h>

namespace stint::core {
namespace {

KeyedSubmit call(JobId first, std::uint64_t count, const std::string& word) {
  return {.uid = 1000, .key = {word, "payload", {}}, .first = first, .count = count};
}

TEST(KeyTable, AKeyGoesWithTheLastJobOfItsCall) {
  KeyTable keys;
  keys.add(call(10, 3, "many"), 0);
  keys.add(call(13, 1, "one"), 0);
  for (const JobId id : {9U, 10U, 12U, 12U, 10U, 14U}) keys.forget(id);  // of others, and told twice
  ASSERT_NE(keys.find(1000, "many"), nullptr);
  EXPECT_EQ(keys.find(1000, "many")->first, 10U);
  keys.forget(11);
  EXPECT_EQ(keys.find(1000, "many"), nullptr);
  EXPECT_NE(keys.find(1000, "one"), nullptr);
  keys.forget(13);
  EXPECT_EQ(keys.size(), 0U);
}

TEST(KeyTable, WhatWasGoneBeforeARestartCounts) {
  KeyTable keys;
  KeyedSubmit stored = call(10, 5, "many");
  stored.gone = {{10, 11}, {14, 14}};
  keys.add(std::move(stored), 0);
  keys.forget(12);
  EXPECT_NE(keys.find(1000, "many"), nullptr);
  keys.forget(13);
  EXPECT_EQ(keys.size(), 0U);
}

TEST(KeyTable, ARefusedCallTakesItsKeyWithIt) {
  KeyTable keys;
  keys.add(call(10, 3, "many"), 7);
  keys.drop(10);
  EXPECT_EQ(keys.size(), 0U);
  keys.add(call(20, 1, "many"), 8);
  keys.forget(10);
  EXPECT_EQ(keys.find(1000, "many")->first, 20U);
}

}  // namespace
}  // namespace stint::core
