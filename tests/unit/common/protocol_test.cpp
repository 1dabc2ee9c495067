// What single fields of a request cannot tell: the rules of each method's request, signals, and the error object.
#include "common/protocol.hpp"

#include "tests/unit/common/common_support.hpp"

namespace stint::protocol {
namespace {

using test::decode_error;
using test::decode_text;

template <class T>
std::string refused(std::string_view text) {
  return test::kind_and_field(decode_error<T>(text));
}

TEST(Protocol, SubmitManyHasTwoForms) {
  const auto listed = decode_text<SubmitManyRequest>(R"({"jobs":[{"command":["a"]},{"task":"echo"}],"group":"g"})");
  EXPECT_EQ(listed.jobs->size(), 2U);
  const auto made = decode_text<SubmitManyRequest>(R"({"template":{"command":["a","%"]},"items":[1,"x"],"marker":"%"})");
  EXPECT_EQ(made.items->size(), 2U);
  EXPECT_EQ(refused<SubmitManyRequest>("{}"), "invalid_params ");
  EXPECT_EQ(refused<SubmitManyRequest>(R"({"jobs":[]})"), "invalid_params jobs");
  EXPECT_EQ(refused<SubmitManyRequest>(R"({"jobs":[{"command":["a"]},{}]})"), "invalid_params jobs[1]");
  EXPECT_EQ(refused<SubmitManyRequest>(R"({"jobs":[{"command":["a"]}],"template":{"command":["a"]}})"), "invalid_params ");
  EXPECT_EQ(refused<SubmitManyRequest>(R"({"template":{"command":["a"]}})"), "invalid_params items");
  EXPECT_EQ(refused<SubmitManyRequest>(R"({"jobs":[{"command":["a"]}],"items":[1]})"), "invalid_params template");
  EXPECT_EQ(refused<SubmitManyRequest>(R"({"jobs":[{"command":["a"]}],"marker":"{}"})"), "invalid_params marker");
  EXPECT_EQ(refused<SubmitManyRequest>(R"({"template":{"command":["a"]},"items":[]})"), "invalid_params items");
  EXPECT_EQ(refused<SubmitManyRequest>(R"({"jobs":[{"command":["a"],"key":"k"}]})"), "invalid_params jobs[0].key");
}

TEST(Protocol, ItemsFitTheWork) {
  EXPECT_EQ(refused<SubmitManyRequest>(R"({"template":{"shell":"echo {}"},"items":[1]})"), "invalid_params template.shell");
  EXPECT_NO_THROW(
      static_cast<void>(decode_text<SubmitManyRequest>(R"({"template":{"shell":"echo {}"},"items":[1],"marker":"%"})")));
  EXPECT_EQ(refused<SubmitManyRequest>(R"({"template":{"task":"echo","args":1},"items":[1]})"), "invalid_params template.args");
  EXPECT_NO_THROW(static_cast<void>(decode_text<SubmitManyRequest>(R"({"template":{"task":"echo"},"items":[{"a":1},null]})")));
  for (const char* item : {"true", "null", "{}", "[1]", R"("a\u0000b")"}) {
    EXPECT_EQ(refused<SubmitManyRequest>(std::string(R"({"template":{"command":["a"]},"items":[1,)") + item + "]}"),
              "invalid_params items[1]")
        << item;
  }
  EXPECT_NO_THROW(static_cast<void>(decode_text<SubmitManyRequest>(R"({"template":{"command":["a"]},"items":["\\u0000",-1]})")));
}

TEST(Protocol, SubmitManyAtItsBound) {
  std::string items = "1";
  for (std::size_t i = 1; i < limits::submit_jobs_max; ++i) items += ",1";
  const auto request = [](const std::string& list) { return R"({"template":{"task":"echo"},"items":[)" + list + "]}"; };
  EXPECT_EQ(decode_text<SubmitManyRequest>(request(items)).items->size(), limits::submit_jobs_max);
  EXPECT_EQ(refused<SubmitManyRequest>(request(items + ",1")), "invalid_params items");
}

TEST(Protocol, IdsOrGroup) {
  EXPECT_EQ(refused<WaitRequest>("{}"), "invalid_params ");
  EXPECT_EQ(refused<WaitRequest>(R"({"ids":[1],"group":"g"})"), "invalid_params ");
  EXPECT_EQ(refused<WaitRequest>(R"({"ids":[]})"), "invalid_params ids");
  EXPECT_EQ(refused<WaitRequest>(R"({"ids":[1,-1]})"), "invalid_params ids[1]");
  EXPECT_EQ(refused<CancelRequest>("{}"), "invalid_params ");
  EXPECT_EQ(refused<ForgetRequest>(R"({"ids":[1],"older_than":1})"), "invalid_params ");
  EXPECT_EQ(refused<ResultsRequest>(R"({"ids":[1],"group":"g"})"), "invalid_params ");
  EXPECT_NO_THROW(static_cast<void>(decode_text<ResultsRequest>("{}")));
  std::string ids = "1";
  for (std::size_t i = 1; i < limits::wait_ids_max; ++i) ids += ",1";
  EXPECT_EQ(decode_text<WaitRequest>(R"({"ids":[)" + ids + "]}").ids->size(), limits::wait_ids_max);
  EXPECT_EQ(refused<WaitRequest>(R"({"ids":[)" + ids + ",1]}"), "invalid_params ids");
}

TEST(Protocol, BoundsOfSingleFields) {
  EXPECT_EQ(decode_text<IdRequest>(R"({"id":9007199254740991})").id, limits::id_max);
  EXPECT_EQ(refused<IdRequest>(R"({"id":9007199254740992})"), "invalid_params id");
  EXPECT_EQ(refused<IdRequest>(R"({"id":0})"), "invalid_params id");
  EXPECT_EQ(decode_text<ListRequest>(R"({"limit":1000})").limit, 1000U);
  EXPECT_EQ(refused<ListRequest>(R"({"limit":1001})"), "invalid_params limit");
  EXPECT_EQ(refused<ListRequest>(R"({"limit":0})"), "invalid_params limit");
  EXPECT_EQ(refused<OutputRequest>(R"({"id":1,"limit":1048577})"), "invalid_params limit");
  EXPECT_EQ(refused<SubmitManyRequest>(R"({"template":{"command":["a"]},"items":[1],"marker":""})"), "invalid_params marker");
}

TEST(Protocol, SignalsByNumberAndName) {
  EXPECT_EQ(signal_number({"15"}), 15);
  EXPECT_EQ(signal_number({"64"}), 64);
  EXPECT_EQ(signal_number({"\"TERM\""}), 15);
  EXPECT_EQ(signal_number({"\"SIGKILL\""}), 9);
  for (const char* value :
       {"0", "65", "-1", "1.0", "\"term\"", "\"SIGSIGTERM\"", "\"\"", "\"SIG\"", "null", "[]", "true", "18446744073709551615"}) {
    EXPECT_EQ(test::kind_and_field(test::error_of([&] { static_cast<void>(signal_number({value})); })), "invalid_params signal")
        << value;
  }
  EXPECT_EQ(signal_name(9), "SIGKILL");
  EXPECT_EQ(signal_name(42), "SIG42");
}

TEST(Protocol, ErrorsCarryTheirData) {
  std::string out;
  json::Writer writer(out);
  encode_error(writer, invalid_params("job.timeout", "a number"));
  auto json = nlohmann::json::parse(out);
  EXPECT_EQ(json["code"], -32602);
  EXPECT_EQ(
      json["data"],
      (nlohmann::json{{"kind", "invalid_params"}, {"retryable", false}, {"field", "job.timeout"}, {"expected", "a number"}}));
  out.clear();
  encode_error(writer, limit_exceeded("too many", "tags_max", 64, "limits.tags"));
  json = nlohmann::json::parse(out.substr(out.find('{')));
  EXPECT_EQ(json["data"]["value"], 64);
  EXPECT_EQ(json["data"]["setting"], "limits.tags");
  EXPECT_EQ(json["data"]["retryable"], true);
}

}  // namespace
}  // namespace stint::protocol
