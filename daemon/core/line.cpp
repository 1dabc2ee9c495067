#include "daemon/core/line.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <string>

namespace stint::core {

void Line::Chunk::drop_gap() {
  entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(begin));
  begin = 0;
}

// The first chunk whose last entry is not before `place`: where it stands, or would.
Line::Chunks::iterator Line::chunk_of(Place place) {
  return std::partition_point(chunks_.begin(), chunks_.end(), [&](const Chunk& chunk) { return chunk.back() < place; });
}
Line::Chunks::const_iterator Line::chunk_of(Place place) const {
  return std::partition_point(chunks_.begin(), chunks_.end(), [&](const Chunk& chunk) { return chunk.back() < place; });
}

// `chunk` is full: halves it, or, at the end of the line, opens a new one, so that a growing line has full chunks.
Line::Chunks::iterator Line::make_room(Chunks::iterator chunk, Place place) {
  if (chunk->begin > 0) {
    chunk->drop_gap();
    return chunk;
  }
  const auto at = std::distance(chunks_.begin(), chunk);
  if (std::next(chunk) == chunks_.end() && chunk->back() < place) {
    chunks_.emplace_back();
    return std::prev(chunks_.end());
  }
  Chunk tail;
  const auto middle = chunk->entries.begin() + static_cast<std::ptrdiff_t>(chunk->entries.size() / 2);
  tail.entries.assign(middle, chunk->entries.end());
  chunk->entries.erase(middle, chunk->entries.end());
  chunks_.insert(std::next(chunk), std::move(tail));
  chunk = chunks_.begin() + at;
  return chunk->back() < place ? std::next(chunk) : chunk;
}

bool Line::insert(Place place) {
  auto chunk = chunk_of(place);
  if (chunk == chunks_.end()) {
    if (chunks_.empty()) chunks_.emplace_back();
    chunk = std::prev(chunks_.end());
  } else if (const auto& entries = chunk->entries;
             std::binary_search(entries.begin() + static_cast<std::ptrdiff_t>(chunk->begin), entries.end(), place)) {
    return false;
  }
  if (chunk->entries.size() >= chunk_entries_max) chunk = make_room(chunk, place);
  auto& entries = chunk->entries;
  entries.insert(std::lower_bound(entries.begin() + static_cast<std::ptrdiff_t>(chunk->begin), entries.end(), place), place);
  ++size_;
  return true;
}

void Line::pop_front() {
  Chunk& chunk = chunks_.front();
  ++chunk.begin;
  --size_;
  if (chunk.size() == 0) chunks_.pop_front();
}

bool Line::erase(Place place) {
  const auto chunk = chunk_of(place);
  if (chunk == chunks_.end()) return false;
  auto& entries = chunk->entries;
  const auto found = std::lower_bound(entries.begin() + static_cast<std::ptrdiff_t>(chunk->begin), entries.end(), place);
  if (found == entries.end() || *found != place) return false;
  entries.erase(found);
  --size_;
  if (chunk->size() == 0) {
    chunks_.erase(chunk);
  } else if (chunk->size() < chunk_entries_max / 4) {
    merge_around(chunk);
  }
  return true;
}

// Keeps the chunks at least a quarter full on average when many leave from the middle.
void Line::merge_around(Chunks::iterator chunk) {
  const auto join = [&](Chunks::iterator left, Chunks::iterator right) {
    if (left->size() + right->size() > chunk_entries_max / 2) return false;
    left->drop_gap();
    left->entries.insert(left->entries.end(), right->entries.begin() + static_cast<std::ptrdiff_t>(right->begin),
                         right->entries.end());
    chunks_.erase(right);
    return true;
  };
  if (std::next(chunk) != chunks_.end() && join(chunk, std::next(chunk))) return;
  if (chunk != chunks_.begin()) join(std::prev(chunk), chunk);
}

bool Line::contains(Place place) const {
  const auto chunk = chunk_of(place);
  return chunk != chunks_.end() &&
         std::binary_search(chunk->entries.begin() + static_cast<std::ptrdiff_t>(chunk->begin), chunk->entries.end(), place);
}

std::uint64_t Line::ahead(Place place) const {
  const auto chunk = chunk_of(place);
  std::uint64_t before = 0;
  for (auto each = chunks_.begin(); each != chunk; ++each) before += each->size();
  if (chunk == chunks_.end()) return before;
  const auto first = chunk->entries.begin() + static_cast<std::ptrdiff_t>(chunk->begin);
  return before + static_cast<std::uint64_t>(std::lower_bound(first, chunk->entries.end(), place) - first);
}

Place Line::last_up_to(Place bound) const {
  const auto after =
      std::partition_point(chunks_.begin(), chunks_.end(), [&](const Chunk& chunk) { return chunk.front() <= bound; });
  const Chunk& chunk = *std::prev(after);
  const auto begin = chunk.entries.begin() + static_cast<std::ptrdiff_t>(chunk.begin);
  return *std::prev(std::upper_bound(begin, chunk.entries.end(), bound));
}

std::size_t Line::entry_bytes() const {
  std::size_t bytes = 0;
  for (const auto& chunk : chunks_) bytes += chunk.entries.capacity() * sizeof(Place);
  return bytes;
}

void Line::check() const {
  std::uint64_t seen = 0;
  const Place* last = nullptr;
  for (const auto& chunk : chunks_) {
    if (chunk.begin >= chunk.entries.size()) throw std::logic_error("line: an empty chunk");
    if (chunk.entries.size() > chunk_entries_max) throw std::logic_error("line: a chunk is too large");
    for (std::size_t i = chunk.begin; i < chunk.entries.size(); ++i) {
      if (last != nullptr && !(*last < chunk.entries[i])) throw std::logic_error("line: out of order");
      last = &chunk.entries[i];
      ++seen;
    }
  }
  if (seen != size_) throw std::logic_error("line: holds " + std::to_string(seen) + ", counts " + std::to_string(size_));
}

}  // namespace stint::core
