#include "daemon/api/dispatch.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

namespace stint::api {
namespace {

constexpr std::array<std::string_view, 4> envelope_names{"jsonrpc", "id", "method", "params"};

Error invalid_request(std::string message) { return {ErrorKind::invalid_request, std::move(message)}; }

/// The `id` as it is given back; nothing where it is neither a string nor an integer.
std::optional<std::string> id_text(json::Value value) {
  std::string out;
  json::Writer writer(out);
  std::int64_t number = 0;
  std::uint64_t large = 0;
  std::string_view text;
  if (value.get(number) == simdjson::SUCCESS) {
    writer.integer(number);
  } else if (value.get(large) == simdjson::SUCCESS) {
    writer.unsigned_integer(large);
  } else if (value.get(text) == simdjson::SUCCESS && text.size() <= limits::request_id_bytes_max) {
    writer.string(text);
  } else {
    return std::nullopt;
  }
  return out;
}

Error unknown_method(std::string_view name) {
  std::vector<std::string_view> known;
  for (const Method& one : method_table()) known.push_back(one.name);
  const auto nearest = nearest_name(name, known);
  std::string message = "there is no method '" + json::to_utf8(name.substr(0, limits::name_bytes_max)) + "'";
  if (nearest) message += "; did you mean '" + *nearest + "'?";
  Error error(ErrorKind::method_not_found, std::move(message));
  error.nearest = nearest;
  return error;
}

/// The value `{}` for requests without params; read-only, so every thread may use it.
json::Value empty_object() {
  static json::Parser parser;
  static const json::Value value = parser.parse_copy("{}");
  return value;
}

struct Envelope {
  Request request;
  bool has_id = false;
  bool version_ok = false;
  std::optional<std::string_view> method;

  void read_member(std::string_view key, json::Value value) {
    std::string_view text;
    if (key == "method") {
      if (value.get(text) == simdjson::SUCCESS) {
        method = text;
      } else {
        request.error = invalid_request("'method' must be a string");
      }
    } else if (key == "id") {
      has_id = true;
      if (auto id = id_text(value)) {
        request.head.id = std::move(*id);
      } else {
        request.error = invalid_request("'id' must be an integer, or a string of at most " +
                                        std::to_string(limits::request_id_bytes_max) + " bytes");
      }
    } else if (key == "params") {
      request.params = value;
    } else if (key == "jsonrpc") {
      version_ok = value.get(text) == simdjson::SUCCESS && text == "2.0";
    } else if (!request.error) {
      Error error = invalid_request("a request has no member '" + std::string(key.substr(0, limits::name_bytes_max)) + "'");
      error.field = std::string(key.substr(0, limits::name_bytes_max));
      error.nearest = nearest_name(key, envelope_names);
      request.error = std::move(error);
    }
  }

  void check() {
    Request& out = request;
    // A request without id is a notification only where it is a request at all: what is not is answered with id null.
    if (!out.error && !version_ok) out.error = invalid_request(R"(a request carries "jsonrpc": "2.0")");
    if (!out.error && !method) out.error = invalid_request("a request names its 'method'");
    if (out.error) return;
    out.head.muted = !has_id;
    out.method = find_method(*method);
    if (out.method == nullptr) {
      out.error = unknown_method(*method);
    } else if (!out.params) {
      out.params = empty_object();
    } else if (!out.params->is_object()) {
      out.error = invalid_params("params", "an object");
    }
  }
};

Error batch_too_long() {
  return limit_exceeded("a batch holds at most " + std::to_string(limits::batch_requests_max) + " requests", "batch_requests_max",
                        limits::batch_requests_max);
}

std::optional<JobId> running_job(const Backend& backend, const Conversation& conversation) {
  if (conversation.job() == 0) return std::nullopt;
  const core::Job* const job = backend.scheduler().find(conversation.job());
  const bool runs = job != nullptr && job->is_running() && job->attempt == conversation.attempt();
  return runs ? std::optional(job->id) : std::nullopt;
}

Error not_in_a_batch(const Method& method) {
  return invalid_request("'" + std::string(method.name) + "' waits or streams: it cannot be called in a batch");
}

Error too_many_waiting() {
  return limit_exceeded("this connection has " + std::to_string(limits::waiting_requests_max) +
                            " waiting calls and open streams: end some, or use another connection",
                        "waiting_requests_max", limits::waiting_requests_max);
}

/// A key that stands twice is found before the id is read; it is looked for again so that the answer can be matched.
std::optional<std::string> id_of_refused(std::string_view text) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  json::Value id;
  if (parser.parse(text.data(), text.size()).get(object) != simdjson::SUCCESS) return std::nullopt;
  if (object["id"].get(id) != simdjson::SUCCESS) return std::nullopt;
  return id_text(id);
}

}  // namespace

Request read_request(json::Value value) {
  Envelope envelope;
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS) {
    envelope.request.error = invalid_request("a request is an object");
    return std::move(envelope.request);
  }
  for (const auto& [key, child] : object) envelope.read_member(key, child);
  envelope.check();
  return std::move(envelope.request);
}

// ---- context and replies

std::optional<JobId> Context::parent() const { return running_job(backend, conversation); }

core::Holder Context::holder() const {
  return {conversation.binding([&backend = backend](std::uint64_t id) { backend.connection_gone(id); }), parent().value_or(0)};
}

bool Context::may_act(std::uint32_t owner) const {
  const std::uint32_t uid = user()->uid;
  return uid == owner || uid == 0 || uid == options.daemon_uid;
}

void Context::require_owner(std::uint32_t owner, JobId id) const {
  if (!may_act(owner)) throw Error(ErrorKind::permission_denied, "job " + std::to_string(id) + " is not yours");
}

void Context::require_waiting_place() const {
  if (head.batch) throw not_in_a_batch(method);
  // Nobody could know the number of a stream, or learn the end of a wait, that was asked for without an id.
  if (head.muted && (method.flags & submits) == 0) throw invalid_request("a notification cannot wait");
  if (conversation.waiting_full()) throw too_many_waiting();
}

Ticket Context::defer(feed::StreamId waits_for) {
  return conversation.defer(std::move(head), method.waits_or_streams() ? Flavor::waiting : Flavor::plain, waits_for);
}

Ticket Context::defer_briefly() { return conversation.defer(std::move(head), Flavor::plain); }

void answer_when_durable(Backend& backend, const Ticket& ticket, Reply reply) {
  if (reply.is_later) return;
  if (reply.after == 0) return ticket.result(reply.result);
  if (reply.again) {
    return backend.when_seen(reply.after,
                             [ticket, result = std::move(reply.result), again = std::move(reply.again)](bool stands) {
                               if (stands) return ticket.result(result);
                               if (ticket.open()) again(ticket);
                             });
  }
  backend.when_durable(
      reply.after, [ticket, result = std::move(reply.result), stands = reply.even_if_refused](const std::optional<Error>& error) {
        if (error && !stands) {
          ticket.error(*error);
        } else {
          ticket.result(result);
        }
      });
}

// ---- lines

template <class Run>
void Dispatcher::make_call(Conversation& conversation, Request& request, Run&& run) {
  ++stats_.requests;
  if (request.error) return conversation.answer_error(request.head, *request.error);
  const Method& method = *request.method;
  CallHead head = request.head;
  Context context{backend_, conversation, method, request.head, stats_, options_};
  try {
    if (method.waits_or_streams()) context.require_waiting_place();
    Reply reply = run(context);
    if (reply.is_later) return;
    if (reply.after == 0) return conversation.answer(head, reply.result);
    answer_when_durable(backend_, context.defer_briefly(), std::move(reply));
  } catch (const Error& error) {
    conversation.answer_error(head, error);
  } catch (const std::bad_alloc&) {
    conversation.answer_error(head, unavailable("out of memory", "memory"));
  } catch (const std::exception& defect) {
    const std::string incident = std::to_string(::getpid()) + "-" + std::to_string(++incidents_);
    spdlog::error("incident {}: method {} of user {}: {}", incident, method.name, conversation.user()->name, defect.what());
    Error error(ErrorKind::internal_error, "a defect in the daemon: its log tells more of incident " + incident);
    error.incident = incident;
    conversation.answer_error(head, error);
  }
}

void Dispatcher::on_line(Conversation& conversation, std::string_view text) {
  try {
    on_document(conversation, parser_.parse(text));
  } catch (const Error& error) {
    refuse_line(conversation, text, error);
  }
}

void Dispatcher::refuse_line(Conversation& conversation, std::string_view text, const Error& error) {
  ++stats_.requests;
  // Bytes that are not UTF-8 cannot be trusted to be lines either.
  if (error.kind() == ErrorKind::parse_error && !json::is_utf8(text)) {
    Error closing(ErrorKind::parse_error, "the line is not UTF-8: the connection is closed");
    closing.offset = error.offset;
    return conversation.fail(closing);
  }
  CallHead head;
  if (error.kind() != ErrorKind::invalid_params) return conversation.answer_error(head, error);
  // A key that stands twice: the parser's path begins at the line, the protocol's at `params`.
  head.id = id_of_refused(text).value_or("null");
  constexpr std::string_view above = "params.";
  if (!error.field || !error.field->starts_with(above)) return conversation.answer_error(head, error);
  conversation.answer_error(head, invalid_params(error.field->substr(above.size()), error.expected.value_or("")));
}

void Dispatcher::on_document(Conversation& conversation, json::Value document) {
  simdjson::dom::array batch;
  if (document.get(batch) == simdjson::SUCCESS) return on_batch(conversation, batch);
  Request request = read_request(document);
  make_call(conversation, request, [&request](Context& context) { return request.method->call(context, *request.params); });
}

void Dispatcher::on_batch(Conversation& conversation, simdjson::dom::array batch) {
  if (batch.size() == 0) return conversation.answer_error({}, invalid_request("a batch holds at least one request"));
  if (batch.size() > limits::batch_requests_max) return conversation.answer_error({}, batch_too_long());
  const auto shared = std::make_shared<Batch>();
  shared->answers.resize(batch.size());
  shared->open = batch.size();
  std::size_t place = 0;
  for (json::Value element : batch) {
    Request request = read_request(element);
    request.head.batch = shared;
    request.head.place = place++;
    make_call(conversation, request, [&request](Context& context) { return request.method->call(context, *request.params); });
  }
}

// ---- long lines

/// What a thread of the pool made of a long line.
struct Dispatcher::Decoded {
  std::string text;
  std::size_t size = 0;
  json::Parser parser;
  std::optional<Error> error;  // of the whole line
  bool is_batch = false;
  std::vector<Request> requests;
  std::vector<std::unique_ptr<Prepared>> prepared;  // a request each; null where it has an error

  void decode() noexcept {
    try {
      const json::Value document = parser.parse(std::string_view(text).substr(0, size));
      simdjson::dom::array batch;
      is_batch = document.get(batch) == simdjson::SUCCESS;
      if (!is_batch) return add(document);
      if (batch.size() == 0) throw invalid_request("a batch holds at least one request");
      if (batch.size() > limits::batch_requests_max) throw batch_too_long();
      for (json::Value element : batch) add(element);
    } catch (const Error& refused) {
      error = refused;
    } catch (const std::exception&) {
      error = unavailable("out of memory while reading a request", "memory");
    }
  }

 private:
  void add(json::Value value) {
    requests.push_back(read_request(value));
    prepared.emplace_back();
    Request& request = requests.back();
    if (request.error) return;
    try {
      prepared.back() = request.method->prepare(*request.params);
    } catch (const Error& refused) {
      request.error = refused;
    }
  }
};

void Dispatcher::on_long_line(std::shared_ptr<Conversation> conversation, std::string text) {
  const auto decoded = std::make_shared<Decoded>();
  decoded->size = text.size();
  decoded->text = std::move(text);
  decoded->text.resize(decoded->size + json::padding_bytes);
  backend_.offload([decoded] { decoded->decode(); },
                   [this, conversation = std::move(conversation), decoded] {
                     if (!conversation->closed()) make_calls(*conversation, *decoded);
                     conversation->decoded();
                   });
}

void Dispatcher::make_calls(Conversation& conversation, Decoded& decoded) {
  if (decoded.error) {
    return refuse_line(conversation, std::string_view(decoded.text).substr(0, decoded.size), *decoded.error);
  }
  std::shared_ptr<Batch> batch;
  if (decoded.is_batch) {
    batch = std::make_shared<Batch>();
    batch->answers.resize(decoded.requests.size());
    batch->open = decoded.requests.size();
  }
  for (std::size_t i = 0; i < decoded.requests.size(); ++i) {
    Request& request = decoded.requests[i];
    request.head.batch = batch;
    request.head.place = i;
    make_call(conversation, request, [&](Context& context) { return decoded.prepared[i]->run(context); });
  }
}

}  // namespace stint::api
