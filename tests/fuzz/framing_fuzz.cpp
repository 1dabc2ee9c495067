// LineSplitter against a splitter over the whole text: the same lines, however the bytes are cut into packets.
//
// The first byte chooses the bound, the second the seed of the cuts; the rest is the stream.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common/framing.hpp"
#include "tests/fuzz/require.hpp"

namespace {

struct Reading {
  std::vector<std::string> lines;
  bool overlong = false;
  bool operator==(const Reading&) const = default;
};

Reading reference(std::string_view text, std::size_t bound) {
  Reading reading;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.size() > bound) {
      reading.overlong = true;
      return reading;
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) reading.lines.emplace_back(line);
  }
  return reading;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t bound = 1 + data[0];
  std::minstd_rand random(data[1] + 1U);
  const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);

  stint::LineSplitter splitter(bound);
  Reading reading;
  const auto take = [&] {
    while (auto line = splitter.next_line()) reading.lines.emplace_back(*line);
    reading.overlong = splitter.overlong();
  };
  for (std::size_t at = 0; at < text.size() && !reading.overlong;) {
    const std::size_t length = std::min<std::size_t>(1 + random() % 40, text.size() - at);
    auto room = splitter.prepare(length);
    FUZZ_REQUIRE(room.size() >= length);
    std::memcpy(room.data(), text.data() + at, length);
    splitter.commit(length);
    at += length;
    take();
    if (random() % 7 == 0) splitter.shrink();
  }
  if (!reading.overlong) {
    if (auto line = splitter.rest()) reading.lines.emplace_back(*line);
    FUZZ_REQUIRE(splitter.pending_bytes() == 0);
  }
  FUZZ_REQUIRE(reading == reference(text, bound));
  return 0;
}
