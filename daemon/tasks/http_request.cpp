#include "daemon/tasks/http_request.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/base64.hpp"
#include "common/limits.hpp"
#include "common/nearest.hpp"

namespace stint::tasks {
namespace {

constexpr std::array methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
constexpr unsigned status_min = 100;
constexpr unsigned status_max = 599;
constexpr std::size_t host_bytes_max = 253;  // RFC 1035, 2.3.4

[[noreturn]] void refuse(std::string_view argument, const std::string& expected) {
  throw TaskError("invalid_args", "argument '" + std::string(argument) + "' must be " + expected);
}

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// "host:port" into the two; the scheme's port where there is none.
void read_authority(std::string_view authority, HttpUrl& url) {
  if (authority.find('@') != std::string_view::npos) refuse("url", "without user and password: give the header Authorization");
  std::string_view rest;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    in6_addr address{};
    url.host = authority.substr(1, end == std::string_view::npos ? end : end - 1);
    if (end == std::string_view::npos || ::inet_pton(AF_INET6, url.host.c_str(), &address) != 1) {
      refuse("url", "with an IPv6 address between [ and ]");
    }
    rest = authority.substr(end + 1);
  } else {
    url.host = authority.substr(0, authority.find(':'));
    rest = authority.substr(url.host.size());
    const bool known = std::all_of(url.host.begin(), url.host.end(),
                                   [](char c) { return is_alphanumeric(c) || c == '-' || c == '.' || c == '_'; });
    if (url.host.empty() || url.host.size() > host_bytes_max || !known) {
      refuse("url", "with the name or the address of a host, not '" + url.host + "'");
    }
  }
  url.port = url.tls ? 443 : 80;
  url.authority = authority.substr(0, authority.size() - rest.size());
  if (rest.empty() || rest == ":") return;
  const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), url.port);
  if (rest.front() != ':' || error != std::errc{} || end != rest.data() + rest.size() || url.port == 0) {
    refuse("url", "with a port of 1 … 65535, not '" + std::string(rest) + "'");
  }
  url.authority = authority;
}

/// RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
  static constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return is_alphanumeric(c) || marks.find(c) != std::string_view::npos; });
}

/// Nothing that could end the line and begin another header.
bool is_header_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F); });
}

bool has_header(const HttpRequest::Headers& headers, std::string_view low_name) {
  return std::any_of(headers.begin(), headers.end(), [&](const auto& header) { return ascii_lower(header.first) == low_name; });
}

void read_headers(const nlohmann::json& headers, HttpRequest& request) {
  if (!headers.is_object() || headers.size() > limits::http_headers_max) {
    refuse("headers", "an object of at most " + std::to_string(limits::http_headers_max) + " names and values");
  }
  std::size_t bytes = 0;
  for (const auto& [name, value] : headers.items()) {
    const std::string low = ascii_lower(name);
    if (!is_token(name)) refuse("headers", "names and values; '" + name + "' is no name of a header");
    if (low == "content-length" || low == "transfer-encoding" || low == "connection") {
      refuse("headers", "without " + name + ", which the task sets itself");
    }
    if (!value.is_string() || !is_header_value(value.get_ref<const std::string&>())) {
      refuse("headers", "names and values; that of " + name + " must be a string without control characters");
    }
    if (has_header(request.headers, low)) refuse("headers", "names and values; " + name + " stands there twice");
    bytes += name.size() + value.get_ref<const std::string&>().size();
    request.headers.emplace_back(name, value.get<std::string>());
  }
  if (bytes > limits::http_header_bytes_max)
    refuse("headers", "at most " + std::to_string(limits::http_header_bytes_max) + " bytes");
}

void read_body(const nlohmann::json& args, HttpRequest& request) {
  const auto body = args.find("body");
  const auto json = args.find("json");
  if (body != args.end() && json != args.end()) throw TaskError("invalid_args", "give either 'body' or 'json'");
  if (json != args.end()) {
    request.body = json->dump();
    if (!has_header(request.headers, "content-type")) request.headers.emplace_back("Content-Type", "application/json");
  } else if (body != args.end() && body->is_string()) {
    request.body = body->get<std::string>();
  } else if (body != args.end()) {
    constexpr const char* expected = R"(a string, or {"base64": text})";
    if (!body->is_object() || body->size() != 1 || !body->contains("base64") || !body->at("base64").is_string()) {
      refuse("body", expected);
    }
    auto bytes = base64_decode(body->at("base64").get_ref<const std::string&>());
    if (!bytes) refuse("body", expected);
    request.body = std::move(*bytes);
  }
}

void read_method(const nlohmann::json& args, HttpRequest& request) {
  const bool has_body = args.contains("body") || args.contains("json");
  request.method = task_argument<std::string>(args, "method", has_body ? "POST" : "GET");
  if (std::find(methods.begin(), methods.end(), request.method) != methods.end()) return;
  std::string expected;
  for (const char* method : methods) expected += (expected.empty() ? "" : ", ") + std::string(method);
  refuse("method", "one of " + expected);
}

void read_expect(const nlohmann::json& expect, HttpRequest& request) {
  if (expect == "any") {
    request.any_status = true;
    return;
  }
  const auto list = expect.is_array() ? expect : nlohmann::json::array({expect});
  for (const auto& status : list) {
    if (!status.is_number_integer() || status < status_min || status > status_max) {
      refuse("expect", R"(a status of 100 … 599, a list of such, or "any")");
    }
    request.statuses.push_back(status.get<unsigned>());
  }
  if (list.empty() || list.size() > status_max - status_min + 1) refuse("expect", "a list of 1 … 500 statuses");
}

void read_bounds(const nlohmann::json& args, HttpRequest& request) {
  const auto timeout = task_argument<double>(args, "timeout", limits::http_timeout_seconds_default);
  if (!(timeout > 0 && timeout <= limits::duration_seconds_max)) {
    refuse("timeout",
           "more than 0 and at most " + std::to_string(static_cast<std::int64_t>(limits::duration_seconds_max)) + " seconds");
  }
  request.timeout = from_seconds(timeout);
  request.body_bytes_max = task_argument<std::size_t>(args, "body_max", limits::http_body_bytes_default);
  if (request.body_bytes_max > limits::http_body_bytes_max) {
    refuse("body_max", "0 … " + std::to_string(limits::http_body_bytes_max) + " bytes");
  }
}

/// What is misspelt would be left out in silence.
void refuse_unknown(const nlohmann::json& args) {
  const auto parameters = http_parameters();
  std::vector<std::string_view> names;
  for (const auto& parameter : parameters) names.emplace_back(parameter.name);
  for (const auto& [name, value] : args.items()) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const auto nearest = nearest_name(name, names);
    throw TaskError("invalid_args",
                    "there is no argument '" + name + "'" + (nearest ? "; did you mean '" + *nearest + "'?" : ""));
  }
}

}  // namespace

bool HttpRequest::expects(unsigned status) const {
  if (any_status) return true;
  if (statuses.empty()) return status >= 200 && status < 300;
  return std::find(statuses.begin(), statuses.end(), status) != statuses.end();
}

std::string ascii_lower(std::string_view text) {
  std::string low(text);
  for (char& c : low) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return low;
}

HttpUrl parse_http_url(std::string_view text) {
  if (text.size() > limits::http_url_bytes_max) refuse("url", "at most " + std::to_string(limits::http_url_bytes_max) + " bytes");
  if (std::any_of(text.begin(), text.end(), [](char c) { return c <= 0x20 || c >= 0x7F; })) {
    refuse("url", "ASCII without blanks: percent-encode what is not, and write a name in its form xn--…");
  }
  HttpUrl url;
  const auto scheme_end = text.find("://");
  const std::string scheme = ascii_lower(text.substr(0, scheme_end));
  url.tls = scheme == "https";
  if (scheme_end == std::string_view::npos || (!url.tls && scheme != "http")) refuse("url", "http://… or https://…");
  text.remove_prefix(scheme_end + 3);
  text = text.substr(0, text.find('#'));
  const std::string_view authority = text.substr(0, text.find_first_of("/?"));
  read_authority(authority, url);
  text.remove_prefix(authority.size());
  url.target = (text.starts_with('/') ? "" : "/") + std::string(text);
  return url;
}

HttpRequest read_http_request(const nlohmann::json& args) {
  if (args.is_string()) return read_http_request({{"url", args}});
  HttpRequest request;
  request.url = parse_http_url(task_argument<std::string>(args, "url"));
  refuse_unknown(args);
  read_method(args, request);
  if (const auto headers = args.find("headers"); headers != args.end()) read_headers(*headers, request);
  read_body(args, request);
  read_bounds(args, request);
  if (const auto expect = args.find("expect"); expect != args.end()) read_expect(*expect, request);
  request.verify = task_argument<bool>(args, "verify", true);
  return request;
}

std::vector<TaskParameter> http_parameters() {
  return {
      {"url", "string", "http://… or https://…; redirects are not followed", true},
      {"method", "string", "GET, HEAD, POST, PUT, PATCH or DELETE; without it GET, or POST where there is a body", false},
      {"headers", "any", "an object of names and values", false},
      {"body", "any", R"(a string, or {"base64": text})", false},
      {"json", "any", "or a value that is sent as JSON", false},
      {"timeout", "number", "seconds for all of it; 30", false},
      {"expect", "any", R"(the status, or a list of those, that is a success, or "any"; 200 … 299)", false},
      {"body_max", "integer", "bytes of the answer's body, past which it is refused; 1 MiB, at most 8 MiB", false},
      {"verify", "boolean", "false: a certificate that is not trusted is taken as well", false},
  };
}

}  // namespace stint::tasks
