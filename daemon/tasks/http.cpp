// http: one request over HTTP/1.1, plain or over TLS, for health checks and webhooks.
//
// The only file that includes Beast. A connection a request, no redirects, no cookies, no proxies. Throws TaskError:
// `invalid_args`, `not_resolved`, `not_connected`, `tls`, `timed_out`, `connection_lost`, `malformed_answer`,
// `body_too_large`, `unexpected_status`, each with what it was talking to and what happened; a cancelled run throws
// operation_aborted at once, wherever it stands. TLS trusts what OpenSSL trusts: the system's store, or what SSL_CERT_FILE
// and SSL_CERT_DIR name in the environment of the process.
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <mutex>

#include "common/base64.hpp"
#include "common/json.hpp"
#include "common/limits.hpp"
#include "daemon/tasks/builtin.hpp"
#include "daemon/tasks/http_request.hpp"
#include "daemon/tasks/name_lookup.hpp"

namespace stint::tasks {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using SteadyClock = asio::steady_timer::clock_type;

/// What all requests share.
class Shared {
 public:
  NameLookup lookup;

  /// Made when it is first needed: reading the store of certificates takes some milliseconds.
  asio::ssl::context& tls() {
    std::call_once(made_, [this] {
      tls_.emplace(asio::ssl::context::tls_client);
      tls_->set_default_verify_paths();
      SSL_CTX_set_min_proto_version(tls_->native_handle(), TLS1_2_VERSION);
    });
    return *tls_;
  }

 private:
  std::once_flag made_;
  std::optional<asio::ssl::context> tls_;
};

/// What an exchange is at; says where one that failed had come to.
enum class Stage : std::uint8_t { lookup, connect, handshake, request, answer };

const char* doing(Stage stage) {
  switch (stage) {
    case Stage::lookup: return "looking up its address";
    case Stage::connect: return "connecting";
    case Stage::handshake: return "agreeing on TLS";
    case Stage::request: return "sending the request";
    case Stage::answer: return "waiting for the answer";
  }
  return "";
}

using Answer = http::response<http::string_body>;

/// One request and its answer.
class Exchange {
 public:
  Exchange(Shared& shared, const HttpRequest& request, const asio::any_io_executor& executor)
      : shared_(shared),
        request_(request),
        deadline_(SteadyClock::now() + std::chrono::duration_cast<SteadyClock::duration>(request.timeout)),
        tcp_(executor) {}

  asio::awaitable<Answer> perform() {
    try {
      co_await connect();
      if (request_.url.tls) co_return co_await converse_over_tls();
      co_return co_await converse(tcp_);
    } catch (const boost::system::system_error& error) {
      if (error.code() == asio::error::operation_aborted) throw;
      throw failure(error.code());
    } catch (const std::system_error& error) {
      throw TaskError("not_connected", peer() + ": " + error.what());
    }
  }

 private:
  asio::awaitable<void> connect() {
    const auto found = co_await shared_.lookup.find(request_.url.host, deadline_);
    if (!found) throw timed_out();
    if (found->addresses.empty()) throw TaskError("not_resolved", request_.url.host + ": " + found->error);
    std::vector<asio::ip::tcp::endpoint> endpoints;
    for (const auto& address : found->addresses) endpoints.emplace_back(address, request_.url.port);
    stage_ = Stage::connect;
    tcp_.expires_at(deadline_);
    co_await tcp_.async_connect(endpoints, asio::use_awaitable);
  }

  asio::awaitable<Answer> converse_over_tls() {
    stage_ = Stage::handshake;
    asio::ssl::stream<beast::tcp_stream&> stream(tcp_, shared_.tls());
    require_name(stream.native_handle());
    stream.set_verify_mode(request_.verify ? asio::ssl::verify_peer : asio::ssl::verify_none);
    error_code error;
    co_await stream.async_handshake(asio::ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, error));
    const long verified = SSL_get_verify_result(stream.native_handle());
    if (error && request_.verify && verified != X509_V_OK) {
      throw TaskError("tls", peer() + ": its certificate is not trusted: " + X509_verify_cert_error_string(verified));
    }
    if (error) throw boost::system::system_error(error);
    co_return co_await converse(stream);
  }

  /// Whom the certificate has to be for, and for a name which one of those who live at the address is meant.
  void require_name(SSL* ssl) const {
    const std::string& host = request_.url.host;
    error_code no_address;
    asio::ip::make_address(host, no_address);
    const bool done = no_address ? SSL_set1_host(ssl, host.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, host.c_str()) == 1
                                 : X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
    if (!done) throw TaskError("tls", peer() + ": no TLS with such a name");
  }

  template <class Stream>
  asio::awaitable<Answer> converse(Stream& stream) {
    stage_ = Stage::request;
    const http::request<http::string_body> message = make_message();
    error_code not_sent;
    co_await http::async_write(stream, message, asio::redirect_error(asio::use_awaitable, not_sent));
    // A server may answer, and close, before it has read all: its answer says more than that.
    const bool may_have_answered = not_sent == asio::error::broken_pipe || not_sent == asio::error::connection_reset;
    if (not_sent && !may_have_answered) throw boost::system::system_error(not_sent);

    if (!not_sent) stage_ = Stage::answer;
    // Also what a server sends beside the chunks of a body is in the buffer until it has come to its end.
    beast::flat_buffer buffer(2 * limits::http_header_bytes_max);
    std::optional<http::response_parser<http::string_body>> parser;
    error_code not_read;
    do {
      parser.emplace();
      not_read = co_await read_answer(stream, buffer, *parser);
    } while (!not_read && http::to_status_class(parser->get().result_int()) == http::status_class::informational &&
             parser->get().result() != http::status::switching_protocols);
    if (not_read) throw boost::system::system_error(not_sent ? not_sent : not_read);
    co_return parser->release();
  }

  template <class Stream>
  asio::awaitable<error_code> read_answer(Stream& stream, beast::flat_buffer& buffer,
                                          http::response_parser<http::string_body>& parser) {
    parser.header_limit(limits::http_header_bytes_max);
    parser.body_limit(request_.body_bytes_max);
    parser.skip(request_.method == "HEAD");
    error_code error;
    // Beast bounds what it has not yet understood of a header, not the whole.
    std::size_t bytes = 0;
    while (!error && !parser.is_header_done()) {
      bytes += co_await http::async_read_some(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
      if (bytes > limits::http_header_bytes_max) co_return http::error::header_limit;
    }
    if (!error) co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    co_return error;
  }

  [[nodiscard]] http::request<http::string_body> make_message() const {
    http::request<http::string_body> message(http::string_to_verb(request_.method), request_.url.target, 11, request_.body);
    message.set(http::field::host, request_.url.authority);
    message.set(http::field::user_agent, "stint/" STINT_VERSION);
    message.set(http::field::accept, "*/*");
    for (const auto& [name, value] : request_.headers) message.set(name, value);
    message.set(http::field::connection, "close");
    message.prepare_payload();
    return message;
  }

  [[nodiscard]] std::string peer() const { return request_.url.host + " port " + std::to_string(request_.url.port); }

  [[nodiscard]] TaskError timed_out() const {
    return {"timed_out",
            peer() + ": not done within " + nlohmann::json(to_seconds(request_.timeout)).dump() + " s: it was " + doing(stage_)};
  }

  [[nodiscard]] TaskError failure(const error_code& error) const {
    if (error == beast::error::timeout) return timed_out();
    if (error == http::error::end_of_stream) return {"connection_lost", peer() + ": it closed the connection without an answer"};
    if (error == http::error::partial_message || error == asio::ssl::error::stream_truncated) {
      return {"connection_lost", peer() + ": it closed the connection in the middle of its answer"};
    }
    if (error == http::error::body_limit) {
      return {"body_too_large", peer() + ": the answer's body has more than " + std::to_string(request_.body_bytes_max) +
                                    " bytes ('body_max', at most " + std::to_string(limits::http_body_bytes_max) + ")"};
    }
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return {"malformed_answer",
              peer() + ": the answer's header has more than " + std::to_string(limits::http_header_bytes_max) + " bytes"};
    }
    if (error.category() == error_code(http::error::bad_version).category()) {
      return {"malformed_answer", peer() + ": the answer is not HTTP/1: " + error.message()};
    }
    const char* kind = stage_ == Stage::connect ? "not_connected" : stage_ == Stage::handshake ? "tls" : "connection_lost";
    return {kind, peer() + ", " + doing(stage_) + ": " + error.message()};
  }

  Shared& shared_;
  const HttpRequest& request_;
  const SteadyClock::time_point deadline_;
  Stage stage_ = Stage::lookup;
  beast::tcp_stream tcp_;
};

[[noreturn]] void throw_unexpected(const Answer& answer) {
  std::string message = "status " + std::to_string(answer.result_int());
  if (!answer.reason().empty()) message += " " + std::string(answer.reason());
  if (const auto location = answer.find(http::field::location); location != answer.end()) {
    message += ", which points to " + std::string(location->value()) + " (redirects are not followed)";
  }
  if (!answer.body().empty() && json::is_utf8(answer.body()))
    message += ": " + answer.body().substr(0, limits::http_excerpt_bytes_max);
  throw TaskError("unexpected_status", message);
}

nlohmann::json result_of(Answer answer, SteadyClock::duration took) {
  nlohmann::json headers = nlohmann::json::object();
  for (const auto& field : answer) {
    nlohmann::json& value = headers[ascii_lower(field.name_string())];
    const std::string text = json::to_utf8(field.value());
    // RFC 9110, 5.3: one that stands several times is one list.
    value = value.is_string() ? value.get<std::string>() + ", " + text : text;
  }
  const bool is_text = json::is_utf8(answer.body());
  return {{"status", answer.result_int()},
          {"reason", json::to_utf8(answer.reason())},
          {"headers", std::move(headers)},
          {"encoding", is_text ? "utf8" : "base64"},
          {"body", is_text ? std::move(answer.body()) : base64_encode(answer.body())},
          {"seconds", std::chrono::duration<double>(took).count()}};
}

asio::awaitable<nlohmann::json> http_coroutine(std::shared_ptr<Shared> shared, const nlohmann::json& args) {
  const HttpRequest request = read_http_request(args);
  const auto begun = SteadyClock::now();
  Exchange exchange(*shared, request, co_await asio::this_coro::executor);
  Answer answer = co_await exchange.perform();
  if (!request.expects(answer.result_int())) throw_unexpected(answer);
  co_return result_of(std::move(answer), SteadyClock::now() - begun);
}

/// The coroutine on a context of its own: for threads, and for the isolation of a host process.
nlohmann::json http_blocking(const std::shared_ptr<Shared>& shared, const TaskContext& context, const nlohmann::json& args) {
  asio::io_context io(1);
  asio::cancellation_signal cancel;
  std::optional<nlohmann::json> result;
  std::exception_ptr thrown;
  bool over = false;
  asio::co_spawn(io, http_coroutine(shared, args),
                 asio::bind_cancellation_slot(cancel.slot(), [&](const std::exception_ptr& error, nlohmann::json value) {
                   over = true;
                   thrown = error;
                   result = std::move(value);
                 }));
  const std::stop_callback stop(context.stop, [&] {
    asio::post(io, [&] {
      if (!over) cancel.emit(asio::cancellation_type::all);
    });
  });
  io.run();
  if (thrown) std::rethrow_exception(thrown);
  return std::move(*result);
}

}  // namespace

Task http_task() {
  const auto shared = std::make_shared<Shared>();
  Task task;
  task.name = "http";
  task.description = "a request over HTTP or HTTPS, for health checks and webhooks; the arguments may also be the URL itself";
  task.parameters = http_parameters();
  task.coroutine = [shared](const TaskContext&, const nlohmann::json& args) { return http_coroutine(shared, args); };
  task.blocking = [shared](const TaskContext& context, const nlohmann::json& args) {
    return http_blocking(shared, context, args);
  };
  return task;
}

}  // namespace stint::tasks
