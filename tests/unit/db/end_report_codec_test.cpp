// Endings as bytes and back; what is not whole is refused, byte for byte.
#include "daemon/db/end_report_codec.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "daemon/db/catalogue.hpp"

namespace stint::db {
namespace {

std::vector<EndReport> samples() {
  std::vector<EndReport> all;
  for (const int code : {0, 1, -1, 255, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
    all.emplace_back().ending = EndReport::Exited{code};
  }
  all.emplace_back().ending = EndReport::Signalled{9};
  all.emplace_back().ending = EndReport::Returned{json::Raw{R"({"a":[1,2]})"}};
  all.emplace_back().ending = EndReport::Failed{{"spawn", "no such file"}, 127};
  all.emplace_back().ending = EndReport::Failed{{"crashed", ""}, std::nullopt};
  all.emplace_back().ending = EndReport::Failed{{"ValueError", "no", json::Raw{"[1]"}}, std::nullopt};
  all.emplace_back().ending = EndReport::Lost{"the machine went down"};
  EndReport full;
  full.ending = EndReport::Exited{3};
  full.timed_out = true;
  full.stopped = true;
  full.usage =
      Usage{std::chrono::microseconds(1'234'567), std::chrono::microseconds(0), std::numeric_limits<std::uint64_t>::max()};
  full.stdout_content = OutputContent{{300, true}, std::string("\0\xff\x80 bytes", 9), false};
  full.stderr_content = OutputContent{{1ULL << 40U, false}, {}, true};
  full.finished_at = Time{std::chrono::microseconds(1'763'812'345'678'901)};
  all.push_back(full);
  EndReport early = full;
  early.finished_at = Time{std::chrono::microseconds(-5)};
  early.stdout_content.reset();
  all.push_back(early);
  return all;
}

TEST(EndReportCodec, ComesBackAsItWas) {
  const Time finished_at{std::chrono::microseconds(1'763'812'345'678'901)};
  for (const auto& report : samples()) {
    std::string bytes = "before";
    encode_end(bytes, report, finished_at);
    EXPECT_EQ(decode_end(std::string_view(bytes).substr(6), finished_at), report);
  }
}

TEST(EndReportCodec, WhatIsNotWholeIsRefused) {
  const Time finished_at{};
  for (const auto& report : samples()) {
    std::string bytes;
    encode_end(bytes, report, finished_at);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_THROW(static_cast<void>(decode_end(std::string_view(bytes).substr(0, size), finished_at)), StoreFailure)
          << size << " of " << bytes.size();
    }
    EXPECT_THROW(static_cast<void>(decode_end(bytes + "x", finished_at)), StoreFailure) << "something behind it";
  }
  EXPECT_THROW(static_cast<void>(decode_end(std::string("\x02\x00\x00\x00", 4), finished_at)), StoreFailure)
      << "a layout that is not known";
  EXPECT_THROW(static_cast<void>(decode_end(std::string("\x01\x05\x00\x00", 4), finished_at)), StoreFailure)
      << "an ending that is not known";
}

TEST(EndReportCodec, ItsLayoutStandsOnDisk) {
  EndReport report;
  report.ending = EndReport::Exited{3};
  report.stdout_content = OutputContent{{2, false}, "hi", false};
  std::string bytes;
  encode_end(bytes, report, report.finished_at);
  EXPECT_EQ(bytes, std::string("\x01\x00\x08\x06\x02\x00\x02hi", 9));
}

}  // namespace
}  // namespace stint::db
