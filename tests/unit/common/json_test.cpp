// The parser refuses everything that is not strict JSON and says where; the writer's text reads back as what was meant.
//
// nlohmann::json serves as the second opinion.
#include "common/json.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/limits.hpp"
#include "tests/unit/common/common_support.hpp"

namespace stint {
namespace {

using json::Writer;

Error parse_error_of(std::string_view text) {
  SCOPED_TRACE(std::string(text.substr(0, 200)));
  return test::error_of([&] {
    json::Parser parser;
    static_cast<void>(parser.parse_copy(text));
  });
}

std::string nested(std::size_t levels, std::string_view inside) {
  return std::string(levels, '[') + std::string(inside) + std::string(levels, ']');
}

TEST(JsonParser, RefusesWhatIsNotJsonAndSaysWhere) {
  struct Row {
    std::string_view text;
    std::uint64_t offset;
  };
  for (const auto& row : {Row{"{\"a\":}", 5}, Row{"nul", 3}, Row{"[1,]", 3}, Row{"{a:1}", 1}, Row{"{\"a\" 1}", 5}, Row{"[01]", 2},
                          Row{"'x'", 0}, Row{"[1] 2", 4}, Row{"// x\n1", 0}, Row{"\"a\tb\"", 2}, Row{"\"\\x\"", 2}}) {
    const Error error = parse_error_of(row.text);
    EXPECT_EQ(error_name(error.kind()), "parse_error") << row.text;
    EXPECT_EQ(error.offset, row.offset) << row.text << ": " << error.message();
  }
  for (std::string_view text : {"",
                                " ",
                                "NaN",
                                "[Infinity]",
                                "+1",
                                ".5",
                                "1.",
                                "1e",
                                "-",
                                "--1",
                                "0x10",
                                "tru",
                                "[1 2]",
                                "{",
                                "[",
                                "\"abc",
                                "{\"a\":1",
                                "{\"a\":1,}",
                                "\xEF\xBB\xBF{}",
                                "\"\\ud800\"",
                                "\"\\udc00\"",
                                "\"\\ud800\\u0041\"",
                                "\"\\u12g4\"",
                                "]",
                                "}",
                                ",",
                                ":"}) {
    const Error error = parse_error_of(text);
    EXPECT_EQ(error_name(error.kind()), "parse_error") << text;
    EXPECT_TRUE(error.offset.has_value()) << text;
    EXPECT_EQ(error.message().find("out of range"), std::string::npos) << text << ": " << error.message();
  }
}

TEST(JsonParser, RefusesInvalidUtf8) {
  for (std::string_view bytes :
       {"\xFF", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC3", "\x80", "\xF8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(json::is_utf8(bytes));
    const std::string text = "[\"abc" + std::string(bytes) + "\"]";
    EXPECT_EQ(error_name(parse_error_of(text).kind()), "parse_error");
  }
}

TEST(JsonParser, DepthAtTheBoundAndOnePast) {
  json::Parser parser;
  for (std::string_view inside : {"1", "", "{}"}) {
    const std::size_t levels = limits::depth_levels_max - (inside == "{}" ? 1 : 0);
    EXPECT_NO_THROW(static_cast<void>(parser.parse_copy(nested(levels, inside)))) << inside;
    const Error error = parse_error_of(nested(levels + 1, inside));
    EXPECT_EQ(error_name(error.kind()), "limit_exceeded") << inside << ": " << error.message();
    EXPECT_EQ(error.limit, "depth_levels_max");
    EXPECT_EQ(error.value, limits::depth_levels_max);
  }
  EXPECT_EQ(error_name(parse_error_of(nested(100'000, "1")).kind()), "limit_exceeded");
  EXPECT_EQ(error_name(parse_error_of(std::string(100'000, '[')).kind()), "limit_exceeded");
  EXPECT_NO_THROW(static_cast<void>(parser.parse_copy("{}"))) << "usable after an error";
}

TEST(JsonParser, RefusesAKeyThatStandsTwice) {
  EXPECT_EQ(test::kind_and_field(parse_error_of(R"({"a":1,"b":{"c":1,"c":2}})")), "invalid_params b.c");
  EXPECT_EQ(test::kind_and_field(parse_error_of(R"({"a":1,"\u0061":1})")), "invalid_params a") << "after unescaping";
  EXPECT_EQ(test::kind_and_field(parse_error_of(R"({"jobs":[{},{"x":1,"x":1}]})")), "invalid_params jobs[1].x");
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_EQ(test::kind_and_field(parse_error_of(many + "\"k42\":1}")), "invalid_params k42");
  json::Parser parser;
  EXPECT_NO_THROW(static_cast<void>(parser.parse_copy(many + "\"k100\":1}")));
  EXPECT_NO_THROW(static_cast<void>(parser.parse_copy(R"([{"a":1},{"a":1}])")));
}

TEST(JsonParser, NumbersOutOfRangeAreToldWithTheirPlace) {
  for (std::string_view number : {"1e999", "18446744073709551616", "-9223372036854775809", "99999999999999999999999"}) {
    const Error error = parse_error_of("{\"text\":\"1e999\",\"n\":" + std::string(number) + "}");
    EXPECT_EQ(error_name(error.kind()), "parse_error") << number;
    EXPECT_NE(error.message().find("out of range"), std::string::npos) << error.message();
    EXPECT_EQ(error.offset, 20U) << number;
  }
}

TEST(JsonParser, LongLinesAreGivenBack) {
  json::Parser parser;
  const std::string big = "[" + std::string(4U << 20U, ' ') + "]";
  EXPECT_NO_THROW(static_cast<void>(parser.parse_copy(big)));
  EXPECT_NO_THROW(static_cast<void>(parser.parse_copy("{}")));
  EXPECT_LT(parser.capacity(), std::size_t{1} << 20U);
}

TEST(JsonRaw, IsMinifiedAndKeepsItsMeaning) {
  json::Parser parser;
  EXPECT_EQ(json::raw_of(parser.parse_copy(R"( { "a" : [ 1 , 2.5 , "xÿ\u0001" ] } )")).text, "{\"a\":[1,2.5,\"xÿ\\u0001\"]}");
  const std::string deep = nested(limits::depth_levels_max, "1");
  EXPECT_EQ(json::raw_of(parser.parse_copy(deep)).text, deep);
}

TEST(JsonUtf8, ReplacesWhatIsInvalid) {
  EXPECT_EQ(json::to_utf8("abc\xFF"
                          "d"),
            "abc\xEF\xBF\xBD"
            "d");
  EXPECT_EQ(json::to_utf8("\xC3"), "\xEF\xBF\xBD");
  EXPECT_EQ(json::to_utf8("ok ✓"), "ok ✓");
  auto random = test::seeded();
  for (int round = 0; round < 2'000; ++round) {
    std::string bytes(test::below(random, 12), '\0');
    for (char& c : bytes) c = static_cast<char>(test::below(random, 2) != 0 ? 0x80 + test::below(random, 128) : 'a');
    ASSERT_TRUE(json::is_utf8(json::to_utf8(bytes)));
    std::string text;
    json::append_string(text, bytes);
    ASSERT_TRUE(nlohmann::json::accept(text));
  }
}

TEST(JsonWriter, PutsCommasWhereTheyBelong) {
  std::string out;
  Writer writer(out);
  writer.begin_object();
  writer.key("list");
  writer.begin_array();
  writer.integer(-1);
  writer.begin_object();
  writer.end_object();
  writer.boolean(true);
  writer.null();
  writer.end_array();
  writer.user_key("a\"b");
  writer.string("x\ny\x01");
  writer.key("raw");
  writer.raw("[1]");
  writer.key("u");
  writer.unsigned_integer(std::numeric_limits<std::uint64_t>::max());
  writer.end_object();
  EXPECT_EQ(out, R"({"list":[-1,{},true,null],"a\"b":"x\ny\u0001","raw":[1],"u":18446744073709551615})");
}

TEST(JsonWriter, NumbersReadBack) {
  const auto text = [](auto&& write) {
    std::string out;
    Writer writer(out);
    write(writer);
    return out;
  };
  EXPECT_EQ(text([](Writer& w) { w.seconds(Duration(1'500'000)); }), "1.5");
  EXPECT_EQ(text([](Writer& w) { w.seconds(Duration(1)); }), "0.000001");
  EXPECT_EQ(text([](Writer& w) { w.seconds(Duration(-1'000'001)); }), "-1.000001");
  EXPECT_EQ(text([](Writer& w) { w.seconds(Duration(0)); }), "0");
  EXPECT_EQ(text([](Writer& w) { w.seconds(Duration(std::numeric_limits<std::int64_t>::min())); }), "-9223372036854.775808");
  EXPECT_EQ(text([](Writer& w) { w.real(std::numeric_limits<double>::infinity()); }), "null");
  EXPECT_EQ(text([](Writer& w) { w.real(0.1); }), "0.1");
  auto random = test::seeded();
  for (int round = 0; round < 2'000; ++round) {
    const auto value = static_cast<std::int64_t>(random());
    ASSERT_EQ(nlohmann::json::parse(text([&](Writer& w) { w.integer(value); })).get<std::int64_t>(), value);
    const double real = std::bit_cast<double>(random());
    if (!std::isfinite(real)) continue;
    const std::string written = text([&](Writer& w) { w.real(real); });
    ASSERT_EQ(nlohmann::json::parse(written).get<double>(), real);
    json::Parser parser;
    ASSERT_EQ(nlohmann::json::parse(json::raw_of(parser.parse_copy(written)).text).get<double>(), real) << written;
  }
}

nlohmann::json random_json(std::mt19937_64& random, int depth) {
  switch (test::below(random, depth > 0 ? 8 : 6)) {
    case 0: return nullptr;
    case 1: return test::below(random, 2) == 0;
    case 2: return static_cast<std::int64_t>(random());
    case 3: return random();
    case 4: return static_cast<double>(random()) / 1e7;
    case 5: {
      std::string text(test::below(random, 10), ' ');
      for (char& c : text) c = static_cast<char>(test::below(random, 128));
      return text + "é";
    }
    case 6: {
      auto list = nlohmann::json::array();
      for (std::size_t n = test::below(random, 5); n > 0; --n) list.push_back(random_json(random, depth - 1));
      return list;
    }
    default: {
      auto object = nlohmann::json::object();
      for (std::size_t n = test::below(random, 20); n > 0; --n) object["k" + std::to_string(n)] = random_json(random, depth - 1);
      return object;
    }
  }
}

TEST(JsonParser, RandomDocumentsComeThroughUnchanged) {
  auto random = test::seeded();
  json::Parser parser;
  for (int round = 0; round < 500; ++round) {
    const auto value = random_json(random, 4);
    const auto raw = json::raw_of(parser.parse_copy(value.dump()));
    ASSERT_EQ(json::to_nlohmann(raw), value);
    ASSERT_EQ(json::from_nlohmann(value).text, value.dump());
  }
}

TEST(JsonParser, DamagedDocumentsAreRefusedOrReadNeverWorse) {
  auto random = test::seeded();
  json::Parser parser;
  std::size_t refused = 0;
  for (int round = 0; round < 3'000; ++round) {
    std::string text = random_json(random, 3).dump();
    for (std::size_t n = 1 + test::below(random, 3); n > 0; --n) {
      text[test::below(random, text.size())] = static_cast<char>(test::below(random, 256));
    }
    try {
      const auto raw = json::raw_of(parser.parse_copy(text));
      ASSERT_NO_THROW(static_cast<void>(json::to_nlohmann(raw))) << text;
    } catch (const Error& error) {
      ++refused;
      ASSERT_TRUE(error.kind() == ErrorKind::parse_error || error.kind() == ErrorKind::invalid_params) << text;
      ASSERT_LE(error.offset.value_or(0), text.size()) << text;
    }
  }
  EXPECT_GT(refused, 500U);
}

}  // namespace
}  // namespace stint
