// The map from growing ids to pointers, against std::map.
#include "daemon/core/paged_map.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace stint::core {
namespace {

using Map = PagedMap<std::unique_ptr<std::uint64_t>>;

std::vector<std::uint64_t> ids_after(const Map& map, std::uint64_t after, std::size_t limit = 1'000'000) {
  std::vector<std::uint64_t> ids;
  map.each_after(after, [&](std::uint64_t id, const std::unique_ptr<std::uint64_t>& value) {
    EXPECT_EQ(id, *value);
    ids.push_back(id);
    return ids.size() < limit;
  });
  return ids;
}

void add(Map& map, std::uint64_t id) { map.insert(id, std::make_unique<std::uint64_t>(id)); }

TEST(PagedMap, PagesGoWhenTheyAreEmptyButTheNewest) {
  Map map;
  for (std::uint64_t id = 1; id <= 3 * Map::page_entries; ++id) add(map, id);
  EXPECT_EQ(map.page_count(), 4U);
  for (std::uint64_t id = 1; id <= 3 * Map::page_entries; ++id) EXPECT_TRUE(map.take(id));
  EXPECT_EQ(map.size(), 0U);
  EXPECT_EQ(map.page_count(), 1U);
  EXPECT_FALSE(map.take(5));
  add(map, 10 * Map::page_entries);
  EXPECT_EQ(map.page_count(), 1U);
  EXPECT_EQ(map.find(3 * Map::page_entries), nullptr);
}

TEST(PagedMap, IteratesInOrderAcrossPages) {
  Map map;
  for (const std::uint64_t id : {1'023U, 1'024U, 5U, 9'000U, 2'047U, 2'048U}) add(map, id);
  EXPECT_EQ(ids_after(map, 0), (std::vector<std::uint64_t>{5, 1'023, 1'024, 2'047, 2'048, 9'000}));
  EXPECT_EQ(ids_after(map, 1'023), (std::vector<std::uint64_t>{1'024, 2'047, 2'048, 9'000}));
  EXPECT_EQ(ids_after(map, 2'047, 1), (std::vector<std::uint64_t>{2'048}));
  EXPECT_TRUE(ids_after(map, 9'000).empty());
}

TEST(PagedMap, BehavesAsAMap) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Map map;
  std::map<std::uint64_t, bool> model;
  std::uint64_t newest = 0;
  for (int step = 0; step < 50'000; ++step) {
    if (random() % 2 == 0) {
      newest += random() % 40;
      const std::uint64_t id = newest - std::min<std::uint64_t>(newest, random() % 3'000);
      add(map, id);
      model[id] = true;
    } else if (!model.empty()) {
      auto found = model.lower_bound(random() % (newest + 1));
      if (found == model.end()) found = model.begin();
      ASSERT_TRUE(map.find(found->first) != nullptr);
      ASSERT_TRUE(map.take(found->first));
      ASSERT_EQ(map.find(found->first), nullptr);
      model.erase(found);
    }
    ASSERT_EQ(map.size(), model.size());
  }
  const auto ids = ids_after(map, 0);
  std::vector<std::uint64_t> expected;
  for (const auto& [id, present] : model) {
    if (id != 0) expected.push_back(id);
  }
  EXPECT_EQ(ids, expected);
}

}  // namespace
}  // namespace stint::core
