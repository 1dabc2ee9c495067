// The small words of common/: errors and their codes, suggestions, base64, times.
#include <algorithm>
#include <array>
#include <set>

#include "common/base64.hpp"
#include "common/nearest.hpp"
#include "common/time.hpp"
#include "tests/unit/common/common_support.hpp"

namespace stint {
namespace {

TEST(Errors, EachKindHasTheCodeAndNameOfTheProtocol) {
  struct Row {
    ErrorKind kind;
    int code;
    std::string_view name;
  };
  constexpr std::array rows{Row{ErrorKind::parse_error, -32700, "parse_error"},
                            Row{ErrorKind::invalid_request, -32600, "invalid_request"},
                            Row{ErrorKind::method_not_found, -32601, "method_not_found"},
                            Row{ErrorKind::invalid_params, -32602, "invalid_params"},
                            Row{ErrorKind::internal_error, -32603, "internal_error"},
                            Row{ErrorKind::not_found, -32000, "not_found"},
                            Row{ErrorKind::permission_denied, -32001, "permission_denied"},
                            Row{ErrorKind::conflict, -32002, "conflict"},
                            Row{ErrorKind::limit_exceeded, -32003, "limit_exceeded"},
                            Row{ErrorKind::timed_out, -32004, "timed_out"},
                            Row{ErrorKind::draining, -32005, "draining"},
                            Row{ErrorKind::unavailable, -32006, "unavailable"},
                            Row{ErrorKind::purged, -32007, "purged"}};
  for (const auto& row : rows) {
    EXPECT_EQ(error_code(row.kind), row.code) << row.name;
    EXPECT_EQ(error_name(row.kind), row.name);
  }
}

TEST(Nearest, SuggestsWhatIsPlausibleAndNothingElse) {
  constexpr std::array<std::string_view, 5> names{"command", "timeout", "stdin", "grace", "of"};
  EXPECT_EQ(nearest_name("comand", names), "command");
  EXPECT_EQ(nearest_name("tiemout", names), "timeout") << "a swap counts one";
  EXPECT_EQ(nearest_name("stdni", names), "stdin");
  EXPECT_EQ(nearest_name("o", names), "of") << "one edit is always allowed";
  EXPECT_EQ(nearest_name("zzzzzz", names), std::nullopt);
  EXPECT_EQ(nearest_name("", names), std::nullopt);
  EXPECT_EQ(nearest_name("x", {}), std::nullopt);
}

TEST(Nearest, LongWordsCostNothing) {
  const std::string at_bound(64, 'a');
  const std::string past(65, 'a');
  const std::array<std::string_view, 1> long_name{at_bound};
  EXPECT_EQ(nearest_name(at_bound, long_name), at_bound);
  EXPECT_EQ(nearest_name(past, long_name), std::nullopt);
  const std::array<std::string_view, 1> longer_name{past};
  EXPECT_EQ(nearest_name(at_bound, longer_name), std::nullopt);
}

TEST(Base64, VectorsOfRfc4648) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 7> vectors{{{"", ""},
                                                                                  {"f", "Zg=="},
                                                                                  {"fo", "Zm8="},
                                                                                  {"foo", "Zm9v"},
                                                                                  {"foob", "Zm9vYg=="},
                                                                                  {"fooba", "Zm9vYmE="},
                                                                                  {"foobar", "Zm9vYmFy"}}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text), bytes);
  }
}

TEST(Base64, RefusesWhatIsNotStrict) {
  for (std::string_view text :
       {"Zg=", "Zg", "Z", "====", "Z===", "Zg==Zg==", "Z=g=", "Zm9v\n", "Zm 9v", " Zm9v", "Zm9-", "Zm9_", "Zm9\xC3"}) {
    EXPECT_EQ(base64_decode(text), std::nullopt) << text;
  }
  EXPECT_EQ(base64_decode(std::string_view("Zm\0v", 4)), std::nullopt);
}

TEST(Base64, RandomBytesComeBack) {
  auto random = test::seeded();
  for (int round = 0; round < 300; ++round) {
    std::string bytes(test::below(random, 200), '\0');
    for (char& c : bytes) c = static_cast<char>(test::below(random, 256));
    const std::string text = base64_encode(bytes);
    ASSERT_EQ(text.size() % 4, 0U);
    ASSERT_EQ(base64_decode(text), bytes);
  }
}

TEST(Times, SecondsRoundToTheNearestMicrosecond) {
  EXPECT_EQ(from_seconds(1.5).count(), 1'500'000);
  EXPECT_EQ(from_seconds(0.0000005).count(), 1);
  EXPECT_EQ(from_seconds(0.00000049).count(), 0);
  EXPECT_EQ(from_seconds(-1.5).count(), -1'500'000);
  EXPECT_EQ(from_seconds(0.1 + 0.2).count(), 300'000);
  EXPECT_DOUBLE_EQ(to_seconds(Duration(1'234'567)), 1.234567);
}

}  // namespace
}  // namespace stint
