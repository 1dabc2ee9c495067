// Every codec of json_map: what it takes, what it refuses, at the bound and one past, and under which path.
#include "common/json_map.hpp"

#include <limits>

#include "tests/unit/common/common_support.hpp"

namespace stint {
namespace {

enum class Colour : std::uint8_t { red, green };

struct Inner {
  std::int32_t n = 0;
  bool operator==(const Inner&) const = default;
  static constexpr auto fields() { return std::tuple{json::required("n", &Inner::n, "a number", json::Range{-10, 10})}; }
};

struct Sample {
  std::int64_t count = 0;
  std::optional<std::string> label;
  std::vector<std::string> list;
  std::map<std::string, double> map;
  Colour colour = Colour::red;
  bool flag = false;
  double real = 0;
  Duration wait{};
  Time at{};
  std::uint8_t small = 0;
  std::uint64_t large = 0;
  std::vector<Inner> inner;
  std::optional<json::Raw> raw;
  bool operator==(const Sample&) const = default;
  static constexpr auto fields() {
    using json::optional;
    using json::Range;
    return std::tuple{json::required("count", &Sample::count, "how many", Range{0, 100}),
                      optional("label", &Sample::label, "", Range{2, 4}),
                      optional("list", &Sample::list, "", Range{1, 3}),
                      optional("map", &Sample::map, "", Range{0, 2}),
                      optional("colour", &Sample::colour, ""),
                      optional("flag", &Sample::flag, ""),
                      optional("real", &Sample::real, "", Range{-0.5, 0.5}),
                      optional("wait", &Sample::wait, ""),
                      optional("at", &Sample::at, ""),
                      optional("small", &Sample::small, ""),
                      optional("large", &Sample::large, ""),
                      optional("inner", &Sample::inner, ""),
                      optional("raw", &Sample::raw, ""),
                      json::later("colours")};
  }
};

}  // namespace
}  // namespace stint

template <>
struct stint::json::EnumNames<stint::Colour> {
  static constexpr std::array<std::string_view, 2> names{"red", "green"};
};

namespace stint {
namespace {

using test::decode_error;
using test::decode_text;

Sample sample_with(const std::string& member) { return decode_text<Sample>("{\"count\":1," + member + "}"); }
std::string refused_sample(const std::string& member) {
  return test::kind_and_field(decode_error<Sample>("{\"count\":1," + member + "}"));
}

TEST(JsonMap, ReadsWhatItWrites) {
  Sample sample;
  sample.count = 7;
  sample.label = "ab";
  sample.list = {"x", ""};
  sample.map = {{"a\"b", 1.5}, {"", -2}};
  sample.colour = Colour::green;
  sample.flag = true;
  sample.real = 0.25;
  sample.wait = std::chrono::milliseconds(1500);
  sample.at = Time{std::chrono::microseconds(1'700'000'000'123'456)};
  sample.small = 255;
  sample.large = limits::id_max;
  sample.inner = {{-10}, {10}};
  sample.raw = json::Raw{"{\"a\":[1,null]}"};
  const std::string text = json::encode_text(sample);
  EXPECT_EQ(decode_text<Sample>(text), sample) << text;
  EXPECT_EQ(json::encode_text(Sample{}), "{\"count\":0}") << "defaults are left out";
}

TEST(JsonMap, IntegersAtTheirBounds) {
  EXPECT_EQ(decode_text<Sample>("{\"count\":0}").count, 0);
  EXPECT_EQ(decode_text<Sample>("{\"count\":100}").count, 100);
  for (const char* value : {"-1", "101", "1.0", "1e1", "1.5", "\"1\"", "true", "null", "[]", "{}", "9223372036854775807",
                            "9223372036854775808", "18446744073709551615", "-9223372036854775808"}) {
    EXPECT_EQ(test::kind_and_field(decode_error<Sample>(std::string("{\"count\":") + value + "}")), "invalid_params count")
        << value;
  }
  EXPECT_EQ(sample_with(R"("small":255)").small, 255);
  EXPECT_EQ(refused_sample(R"("small":256)"), "invalid_params small");
  EXPECT_EQ(refused_sample(R"("small":-1)"), "invalid_params small");
  EXPECT_EQ(sample_with(R"("large":9007199254740991)").large, limits::id_max);
  EXPECT_EQ(refused_sample(R"("large":9007199254740992)"), "invalid_params large");
  EXPECT_EQ(refused_sample(R"("large":9007199254740993)"), "invalid_params large");
}

TEST(JsonMap, NumbersAndDurationsAtTheirBounds) {
  EXPECT_EQ(sample_with(R"("real":0.5)").real, 0.5);
  EXPECT_EQ(sample_with(R"("real":0)").real, 0);
  EXPECT_EQ(refused_sample(R"("real":0.5000001)"), "invalid_params real");
  EXPECT_EQ(refused_sample(R"("real":"0")"), "invalid_params real");
  EXPECT_EQ(refused_sample(R"("real":false)"), "invalid_params real");
  EXPECT_EQ(sample_with(R"("wait":0)").wait.count(), 0);
  EXPECT_EQ(sample_with(R"("wait":315360000)").wait, std::chrono::seconds(315'360'000));
  EXPECT_EQ(refused_sample(R"("wait":315360000.1)"), "invalid_params wait");
  EXPECT_EQ(refused_sample(R"("wait":-0.001)"), "invalid_params wait");
  EXPECT_EQ(sample_with(R"("at":100000000000)").at.time_since_epoch(), std::chrono::seconds(100'000'000'000));
  EXPECT_EQ(refused_sample(R"("at":100000000001)"), "invalid_params at");
  EXPECT_EQ(refused_sample(R"("at":-1)"), "invalid_params at");
}

TEST(JsonMap, StringsAreCountedInBytesAndHoldNoNul) {
  EXPECT_EQ(sample_with(R"("label":"ab")").label, "ab");
  EXPECT_EQ(sample_with(R"("label":"éé")").label, "éé");
  EXPECT_EQ(refused_sample(R"("label":"a")"), "invalid_params label");
  EXPECT_EQ(refused_sample(R"("label":"abcde")"), "invalid_params label");
  EXPECT_EQ(refused_sample(R"("label":"ééa")"), "invalid_params label");
  EXPECT_EQ(refused_sample(R"("label":"a\u0000b")"), "invalid_params label");
  EXPECT_EQ(refused_sample(R"("label":1)"), "invalid_params label");
  EXPECT_EQ(refused_sample(R"("label":null)"), "invalid_params label") << "null is no way to say absent";
}

TEST(JsonMap, ListsAndMapsAtTheirBounds) {
  EXPECT_EQ(sample_with(R"("list":["a","b","c"])").list.size(), 3U);
  EXPECT_EQ(refused_sample(R"("list":[])"), "invalid_params list");
  EXPECT_EQ(refused_sample(R"("list":["a","b","c","d"])"), "invalid_params list");
  EXPECT_EQ(refused_sample(R"("list":["a",2])"), "invalid_params list[1]");
  EXPECT_EQ(refused_sample(R"("list":{"0":"a"})"), "invalid_params list");
  EXPECT_EQ(sample_with(R"("map":{"a":1,"b":2})").map.size(), 2U);
  EXPECT_EQ(refused_sample(R"("map":{"a":1,"b":2,"c":3})"), "invalid_params map");
  EXPECT_EQ(refused_sample(R"("map":{"a":"x"})"), "invalid_params map.a");
  EXPECT_EQ(refused_sample(R"("inner":[{"n":1},{"n":11}])"), "invalid_params inner[1].n");
  EXPECT_EQ(refused_sample(R"("inner":[{}])"), "invalid_params inner[0].n");
}

TEST(JsonMap, NamesAreSuggested) {
  Error error = decode_error<Sample>(R"({"cuont":1})");
  EXPECT_EQ(test::kind_and_field(error), "invalid_params cuont");
  EXPECT_EQ(error.nearest, "count");
  error = decode_error<Sample>(R"({"count":1,"colour":"gren"})");
  EXPECT_EQ(test::kind_and_field(error), "invalid_params colour");
  EXPECT_EQ(error.nearest, "green");
  EXPECT_EQ(refused_sample(R"("colour":1)"), "invalid_params colour");
  error = decode_error<Sample>(R"({"count":1,"inner":[{"m":1}]})");
  EXPECT_EQ(test::kind_and_field(error), "invalid_params inner[0].m");
  EXPECT_EQ(error.nearest, "n");
  EXPECT_EQ(decode_error<Sample>(R"({"count":1,"zzzzzzzz":1})").nearest, std::nullopt);
}

TEST(JsonMap, MissingAndLaterFieldsAreNamed) {
  EXPECT_EQ(test::kind_and_field(decode_error<Sample>("{}")), "invalid_params count");
  EXPECT_EQ(test::kind_and_field(decode_error<Sample>(R"({"count":1,"colours":[]})")), "unavailable colours");
  EXPECT_EQ(test::kind_and_field(decode_error<Sample>("[]")), "invalid_params ");
  EXPECT_EQ(test::kind_and_field(decode_error<Sample>("7")), "invalid_params ");
}

TEST(JsonMap, DescribesItself) {
  const auto schema = json::describe<Sample>();
  EXPECT_EQ(schema["required"], nlohmann::json({"count"}));
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(schema["properties"]["count"]["maximum"], 100);
  EXPECT_EQ(schema["properties"]["colour"]["enum"], nlohmann::json({"red", "green"}));
  EXPECT_EQ(schema["properties"]["list"]["maxItems"], 3);
  EXPECT_FALSE(schema["properties"].contains("colours"));
}

}  // namespace
}  // namespace stint
