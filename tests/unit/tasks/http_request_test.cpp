// The arguments of the task http, and URLs: what is taken, what is refused and in which words.
#include "daemon/tasks/http_request.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/limits.hpp"

namespace stint::tasks {
namespace {

using nlohmann::json;

std::string refusal(const json& args) {
  try {
    static_cast<void>(read_http_request(args));
    return "taken";
  } catch (const TaskError& error) {
    EXPECT_EQ(error.kind(), "invalid_args");
    return error.what();
  }
}

std::string refusal_of_url(const std::string& url) { return refusal({{"url", url}}); }

HttpRequest with(json more) {
  more["url"] = "http://h/";
  return read_http_request(more);
}

std::string refusal_with(json more) {
  more["url"] = "http://h/";
  return refusal(more);
}

TEST(HttpUrl, Parts) {
  struct Case {
    const char* text;
    bool tls;
    const char* host;
    unsigned port;
    const char* authority;
    const char* target;
  };
  for (const Case& c : {
           Case{"http://example.com", false, "example.com", 80, "example.com", "/"},
           Case{"HTTPS://example.com/", true, "example.com", 443, "example.com", "/"},
           Case{"http://127.0.0.1:8080/a/b?c=d&e", false, "127.0.0.1", 8080, "127.0.0.1:8080", "/a/b?c=d&e"},
           Case{"http://h?q", false, "h", 80, "h", "/?q"},
           Case{"http://h:/x#fragment", false, "h", 80, "h", "/x"},
           Case{"https://[::1]:65535/%20", true, "::1", 65535, "[::1]:65535", "/%20"},
           Case{"http://[fe80::1]", false, "fe80::1", 80, "[fe80::1]", "/"},
           Case{"http://h#?/", false, "h", 80, "h", "/"},
           Case{"http://a_b-c.d:1//x:y@z", false, "a_b-c.d", 1, "a_b-c.d:1", "//x:y@z"},
       }) {
    const HttpUrl url = parse_http_url(c.text);
    EXPECT_EQ(url.tls, c.tls) << c.text;
    EXPECT_EQ(url.host, c.host);
    EXPECT_EQ(url.port, c.port);
    EXPECT_EQ(url.authority, c.authority);
    EXPECT_EQ(url.target, c.target);
  }
}

TEST(HttpUrl, WhatIsRefused) {
  const std::string must = "argument 'url' must be ";
  EXPECT_EQ(refusal_of_url(""), must + "http://… or https://…");
  EXPECT_EQ(refusal_of_url("example.com"), must + "http://… or https://…");
  EXPECT_EQ(refusal_of_url("ftp://example.com"), must + "http://… or https://…");
  EXPECT_EQ(refusal_of_url("http:/h"), must + "http://… or https://…");
  EXPECT_EQ(refusal_of_url("http://"), must + "with the name or the address of a host, not ''");
  EXPECT_EQ(refusal_of_url("http:///x"), must + "with the name or the address of a host, not ''");
  EXPECT_EQ(refusal_of_url("http://a%20b/"), must + "with the name or the address of a host, not 'a%20b'");
  EXPECT_EQ(refusal_of_url("http://" + std::string(253, 'a')), "taken");
  EXPECT_NE(refusal_of_url("http://" + std::string(254, 'a')), "taken");
  EXPECT_EQ(refusal_of_url("http://u:p@h/"), must + "without user and password: give the header Authorization");
  EXPECT_EQ(refusal_of_url("http://h:0/"), must + "with a port of 1 … 65535, not ':0'");
  EXPECT_EQ(refusal_of_url("http://h:65536/"), must + "with a port of 1 … 65535, not ':65536'");
  EXPECT_EQ(refusal_of_url("http://h:80x/"), must + "with a port of 1 … 65535, not ':80x'");
  EXPECT_EQ(refusal_of_url("http://[::1]80/"), must + "with a port of 1 … 65535, not '80'");
  EXPECT_EQ(refusal_of_url("http://[::1/"), must + "with an IPv6 address between [ and ]");
  EXPECT_EQ(refusal_of_url("http://[]/"), must + "with an IPv6 address between [ and ]");
  EXPECT_EQ(refusal_of_url("http://[127.0.0.1]/"), must + "with an IPv6 address between [ and ]");
  for (const char* text : {"http://h/a b", "http://h/\n", "http://h/\r\nX: y", "http://h/ä", "http://h/\x7f"}) {
    EXPECT_EQ(refusal_of_url(text).substr(0, 50), (must + "ASCII without blanks: percent").substr(0, 50)) << text;
  }
  const std::string longest = "http://h/" + std::string(limits::http_url_bytes_max - 9, 'x');
  EXPECT_EQ(refusal_of_url(longest), "taken");
  EXPECT_EQ(refusal_of_url(longest + "x"), must + "at most 8192 bytes");
}

TEST(HttpRequest, Defaults) {
  const HttpRequest request = read_http_request("http://h/");
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.timeout, std::chrono::seconds(30));
  EXPECT_EQ(request.body_bytes_max, 1U << 20U);
  EXPECT_TRUE(request.verify);
  EXPECT_TRUE(request.headers.empty());
  for (const unsigned good : {200U, 204U, 299U}) EXPECT_TRUE(request.expects(good)) << good;
  for (const unsigned bad : {199U, 300U, 404U, 503U}) EXPECT_FALSE(request.expects(bad)) << bad;
}

TEST(HttpRequest, Bodies) {
  const HttpRequest text = with({{"body", "a=1"}});
  EXPECT_EQ(text.method, "POST");
  EXPECT_EQ(text.body, "a=1");
  EXPECT_TRUE(text.headers.empty());
  EXPECT_EQ(with({{"body", {{"base64", "AP8="}}}}).body, std::string("\0\xff", 2));
  const HttpRequest value = with({{"json", {{"a", 1}}}});
  EXPECT_EQ(value.body, R"({"a":1})");
  EXPECT_EQ(value.headers, (HttpRequest::Headers{{"Content-Type", "application/json"}}));
  EXPECT_EQ(with({{"json", nullptr}, {"headers", {{"content-type", "x/y"}}}}).headers,
            (HttpRequest::Headers{{"content-type", "x/y"}}));
  EXPECT_EQ(with({{"json", 1}, {"method", "PUT"}}).method, "PUT");
  EXPECT_EQ(refusal_with({{"json", 1}, {"body", ""}}), "give either 'body' or 'json'");
  for (const json& body : {json(1), json(nullptr), json{{"base64", "A"}}, json{{"base64", 1}}, json{{"base64", ""}, {"x", 1}}}) {
    EXPECT_EQ(refusal_with({{"body", body}}), R"(argument 'body' must be a string, or {"base64": text})") << body;
  }
}

TEST(HttpRequest, Headers) {
  EXPECT_EQ(with({{"headers", {{"X-A", "b\tc"}}}}).headers, (HttpRequest::Headers{{"X-A", "b\tc"}}));
  const std::string must = "argument 'headers' must be ";
  EXPECT_EQ(refusal_with({{"headers", json::array()}}), must + "an object of at most 100 names and values");
  EXPECT_EQ(refusal_with({{"headers", {{"a b", "c"}}}}), must + "names and values; 'a b' is no name of a header");
  EXPECT_EQ(refusal_with({{"headers", {{"", "c"}}}}), must + "names and values; '' is no name of a header");
  for (const json& value : {json(1), json("a\r\nInjected: 1"), json("a\n"), json(std::string("\0", 1))}) {
    EXPECT_EQ(refusal_with({{"headers", {{"X", value}}}}),
              must + "names and values; that of X must be a string without control characters");
  }
  EXPECT_EQ(refusal_with({{"headers", {{"a", "1"}, {"A", "2"}}}}), must + "names and values; a stands there twice");
  for (const char* name : {"Content-Length", "transfer-encoding", "Connection"}) {
    EXPECT_EQ(refusal_with({{"headers", {{name, "1"}}}}), must + "without " + name + ", which the task sets itself");
  }
  json many = json::object();
  for (std::size_t i = 0; i < limits::http_headers_max; ++i) many["X-" + std::to_string(i)] = "";
  EXPECT_EQ(refusal_with({{"headers", many}}), "taken");
  many["X"] = "";
  EXPECT_EQ(refusal_with({{"headers", many}}), must + "an object of at most 100 names and values");
  const std::string longest(limits::http_header_bytes_max - 1, 'x');
  EXPECT_EQ(refusal_with({{"headers", {{"X", longest}}}}), "taken");
  EXPECT_EQ(refusal_with({{"headers", {{"X", longest + "x"}}}}), must + "at most 65536 bytes");
}

TEST(HttpRequest, Expect) {
  EXPECT_TRUE(with({{"expect", 302}}).expects(302));
  EXPECT_FALSE(with({{"expect", 302}}).expects(200));
  EXPECT_TRUE(with({{"expect", {200, 404}}}).expects(404));
  EXPECT_FALSE(with({{"expect", {200, 404}}}).expects(201));
  EXPECT_TRUE(with({{"expect", "any"}}).expects(599));
  for (const json& expect : {json(99), json(600), json("2xx"), json(200.0), json{200, "x"}, json(nullptr), json(true)}) {
    EXPECT_EQ(refusal_with({{"expect", expect}}), R"(argument 'expect' must be a status of 100 … 599, a list of such, or "any")")
        << expect;
  }
  EXPECT_EQ(refusal_with({{"expect", json::array()}}), "argument 'expect' must be a list of 1 … 500 statuses");
  EXPECT_EQ(refusal_with({{"expect", json(std::vector(500, 200))}}), "taken");
  EXPECT_EQ(refusal_with({{"expect", json(std::vector(501, 200))}}), "argument 'expect' must be a list of 1 … 500 statuses");
}

TEST(HttpRequest, TheOthers) {
  for (const char* method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
    EXPECT_EQ(with({{"method", method}}).method, method);
  for (const char* method : {"get", "", "CONNECT", "GET / HTTP/1.1"}) {
    EXPECT_EQ(refusal_with({{"method", method}}), "argument 'method' must be one of GET, HEAD, POST, PUT, PATCH, DELETE");
  }
  EXPECT_EQ(with({{"timeout", 0.5}}).timeout, std::chrono::milliseconds(500));
  for (const json& timeout : {json(0), json(-1), json(315'360'001)}) {
    EXPECT_EQ(refusal_with({{"timeout", timeout}}), "argument 'timeout' must be more than 0 and at most 315360000 seconds");
  }
  EXPECT_EQ(with({{"body_max", 0}}).body_bytes_max, 0U);
  EXPECT_EQ(with({{"body_max", limits::http_body_bytes_max}}).body_bytes_max, limits::http_body_bytes_max);
  EXPECT_EQ(refusal_with({{"body_max", limits::http_body_bytes_max + 1}}), "argument 'body_max' must be 0 … 8388608 bytes");
  EXPECT_EQ(refusal_with({{"body_max", -1}}), "argument 'body_max' has the wrong type or is out of range");
  EXPECT_FALSE(with({{"verify", false}}).verify);
  EXPECT_EQ(refusal_with({{"verify", 0}}), "argument 'verify' has the wrong type or is out of range");
  EXPECT_EQ(refusal_with({{"header", json::object()}}), "there is no argument 'header'; did you mean 'headers'?");
  EXPECT_EQ(refusal_with({{"proxy", ""}}), "there is no argument 'proxy'");
  EXPECT_EQ(refusal(nullptr), "argument 'url' is missing");
  EXPECT_EQ(refusal(json::array({1})), "the arguments must be an object");
}

}  // namespace
}  // namespace stint::tasks
