// One line as the daemon reads it: parsed strictly, decoded as every request there is.
//
// Nothing but Error may come out; what was parsed must be JSON to a second parser too; what was decoded must encode to
// text that decodes and encodes to the same.
#include <cstdint>
#include <string>
#include <string_view>

#include "common/error.hpp"
#include "common/json.hpp"
#include "common/limits.hpp"
#include "common/protocol.hpp"
#include "tests/fuzz/require.hpp"

namespace {

using namespace stint;

/// Requests are encoded by nobody but this file, and those around a JobSpec cannot be (a spec has no comparison).
template <class Request>
std::string encoded(const Request& request) {
  if constexpr (requires { request.job; }) {
    return json::encode_text(request.job);
  } else {
    return json::encode_text(request);
  }
}

template <class Request>
void try_request(json::Value params) {
  std::string first;
  try {
    first = encoded(json::decode<Request>(params));
  } catch (const Error& error) {
    FUZZ_REQUIRE(error.kind() == ErrorKind::invalid_params || error.kind() == ErrorKind::unavailable);
    FUZZ_REQUIRE(error.field.has_value());
    std::string out;
    json::Writer writer(out);
    protocol::encode_error(writer, error);
    FUZZ_REQUIRE(nlohmann::json::accept(out));
    return;
  }
  if constexpr (!requires(Request request) { request.job; }) {
    json::Parser parser;
    FUZZ_REQUIRE(encoded(json::decode<Request>(parser.parse_copy(first))) == first);
  }
}

template <class... Requests>
void try_all(json::Value params) {
  (try_request<Requests>(params), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  json::Parser parser;
  json::Value value;
  try {
    value = parser.parse_copy(text);
  } catch (const Error& error) {
    FUZZ_REQUIRE(error.kind() == ErrorKind::parse_error || error.kind() == ErrorKind::invalid_params ||
                 error.kind() == ErrorKind::limit_exceeded);
    FUZZ_REQUIRE(error.kind() != ErrorKind::parse_error || *error.offset <= size);
    return 0;
  }
  FUZZ_REQUIRE(json::is_utf8(text));
  const json::Raw raw = json::raw_of(value);
  FUZZ_REQUIRE(nlohmann::json::accept(raw.text));
  try_all<JobSpec, protocol::Nothing, protocol::ShutdownRequest, protocol::SubmitRequest, protocol::SubmitManyRequest,
          protocol::RunRequest, protocol::IdRequest, protocol::ListRequest, protocol::WaitRequest, protocol::ResultsRequest,
          protocol::OutputRequest, protocol::InputRequest, protocol::CancelRequest, protocol::SignalRequest,
          protocol::ForgetRequest, protocol::SubscribeRequest, protocol::StreamCancelRequest>(value);
  try {
    const int number = protocol::signal_number(raw);
    FUZZ_REQUIRE(number >= 1 && number <= 64);
  } catch (const Error& error) {
    FUZZ_REQUIRE(error.kind() == ErrorKind::invalid_params);
  }
  return 0;
}
