// The arguments of the task `http` as a request: everything is checked here, before anything is looked up or sent.
//
// No I/O and no HTTP library. Throws TaskError `invalid_args`, which names the argument and what was expected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/task_api.hpp"

namespace stint::tasks {

/// http(s)://host[:port][/path][?query], RFC 3986. A fragment is left out, since it is not sent.
struct HttpUrl {
  bool tls = false;
  std::string host;  ///< a name or an address, without brackets
  std::uint16_t port = 0;
  std::string authority;  ///< host and port as the header Host has them
  std::string target;     ///< path and query, at least "/"
};

struct HttpRequest {
  using Headers = std::vector<std::pair<std::string, std::string>>;

  HttpUrl url;
  std::string method;
  Headers headers;
  std::string body;
  Duration timeout{};
  std::size_t body_bytes_max = 0;  ///< of the answer
  bool any_status = false;         ///< every status is a success
  std::vector<unsigned> statuses;  ///< these are; where it is empty, 200 … 299 are
  bool verify = true;              ///< the certificate of a server that is spoken to over TLS

  [[nodiscard]] bool expects(unsigned status) const;
};

/// Names of headers and schemes are the same in either case.
[[nodiscard]] std::string ascii_lower(std::string_view text);
[[nodiscard]] HttpUrl parse_http_url(std::string_view text);
/// `args` is an object, or the URL itself.
[[nodiscard]] HttpRequest read_http_request(const nlohmann::json& args);
[[nodiscard]] std::vector<TaskParameter> http_parameters();

}  // namespace stint::tasks
