// A map from ids that mostly grow to pointers, in pages of 1,024: O(1) find, iteration in order, no rehash pauses.
//
// A page goes when its last entry goes, so memory follows what is held, not what ever was; the newest page stays,
// because an almost idle owner would otherwise allocate one for each entry. T is a smart pointer: null means absent.
// A value: any thread, one at a time. Throws std::bad_alloc only.
#pragma once

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

namespace stint::core {

template <class T>
class PagedMap {
 public:
  static constexpr std::uint64_t page_entries = 1'024;

  [[nodiscard]] const T* find(std::uint64_t id) const {
    const auto found = find_.find(id / page_entries);
    if (found == find_.end()) return nullptr;
    const T& entry = found->second->entries[id % page_entries];
    return entry ? &entry : nullptr;
  }
  [[nodiscard]] T* find(std::uint64_t id) { return const_cast<T*>(std::as_const(*this).find(id)); }

  /// Replaces what stands there.
  void insert(std::uint64_t id, T value) {
    Page& page = page_for(id / page_entries);
    T& entry = page.entries[id % page_entries];
    if (!entry) {
      ++page.used;
      ++size_;
    }
    entry = std::move(value);
  }

  /// What stood there; null where nothing did.
  T take(std::uint64_t id) {
    const std::uint64_t number = id / page_entries;
    const auto found = find_.find(number);
    if (found == find_.end()) return T{};
    Page& page = *found->second;
    T value = std::exchange(page.entries[id % page_entries], T{});
    if (!value) return value;
    --page.used;
    --size_;
    if (page.used == 0 && number != newest_) drop(number);
    return value;
  }

  /// Entries with an id above `after`, ascending, until `visit(id, entry)` returns false. Nothing may be changed meanwhile.
  template <class Visit>
  void each_after(std::uint64_t after, Visit&& visit) const {
    for (auto page = pages_.lower_bound((after + 1) / page_entries); page != pages_.end(); ++page) {
      const std::uint64_t base = page->first * page_entries;
      std::size_t left = page->second->used;
      for (std::uint64_t i = 0; i < page_entries && left > 0; ++i) {
        const T& entry = page->second->entries[i];
        if (!entry) continue;
        --left;
        if (base + i > after && !visit(base + i, entry)) return;
      }
    }
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t page_count() const { return pages_.size(); }

 private:
  struct Page {
    std::array<T, page_entries> entries{};
    std::size_t used = 0;
  };

  Page& page_for(std::uint64_t number) {
    if (const auto found = find_.find(number); found != find_.end()) return *found->second;
    Page& page = *pages_.emplace(number, std::make_unique<Page>()).first->second;
    find_.emplace(number, &page);
    if (number > newest_) {
      const auto last = find_.find(std::exchange(newest_, number));
      if (last != find_.end() && last->second->used == 0) drop(last->first);
    }
    return page;
  }
  void drop(std::uint64_t number) {
    find_.erase(number);
    pages_.erase(number);
  }

  std::map<std::uint64_t, std::unique_ptr<Page>> pages_;  // owns, in order
  boost::unordered_flat_map<std::uint64_t, Page*> find_;  // the same pages; a thousand jobs an entry
  std::uint64_t newest_ = 0;
  std::size_t size_ = 0;
};

}  // namespace stint::core
