// A row of the method table: what a method is called, takes and gives, what is checked before it, and what it does.
//
// Handlers are functions `Reply on_…(Context&, Request&&)`; they throw Error. Only the dispatcher calls them, on the I/O
// thread; only the conversation writes what they return.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "common/json_map.hpp"
#include "daemon/api/backend.hpp"
#include "daemon/api/call.hpp"
#include "daemon/api/conversation.hpp"
#include "daemon/api/server.hpp"

namespace stint::api {

struct Method;

/// What a handler may use.
struct Context {
  Backend& backend;
  Conversation& conversation;
  const Method& method;
  CallHead& head;
  const Stats& stats;
  const Options& options;

  [[nodiscard]] const std::shared_ptr<const core::User>& user() const { return conversation.user(); }
  /// To whom leases belong that this connection takes.
  [[nodiscard]] core::Holder holder() const;
  /// The running job that this connection has entered.
  [[nodiscard]] std::optional<JobId> parent() const;
  /// True where the caller may act on a job of this user.
  [[nodiscard]] bool may_act(std::uint32_t owner) const;
  /// Throws `permission_denied` where the caller may not.
  void require_owner(std::uint32_t owner, JobId id) const;
  /// Throws where this call may not wait or stream: in a batch, as a notification, where too many do already.
  void require_waiting_place() const;
  /// The answer comes through this ticket; the handler then returns Reply::later().
  [[nodiscard]] Ticket defer(feed::StreamId waits_for = 0);
  /// The same for an answer that only the store holds up.
  [[nodiscard]] Ticket defer_briefly();
};

/// What a handler says: the result, and the Persist that must be durable before it leaves; or that it comes later.
struct Reply {
  std::string result = "{}";
  core::PersistNumber after = 0;
  /// The result stands even where that Persist was refused: it says nothing of new work.
  bool even_if_refused = false;
  /// Of a read: looks again, and answers; called where something that the read may have seen was refused.
  std::function<void(const Ticket&)> again{};
  bool is_later = false;

  [[nodiscard]] static Reply later() {
    Reply reply;
    reply.is_later = true;
    return reply;
  }
};

template <class Answer>
[[nodiscard]] Reply reply(const Answer& answer, core::PersistNumber after = 0) {
  Reply out;
  out.result = json::encode_text(answer);
  out.after = after;
  return out;
}

/// `{}`, once that is durable. It stands whatever new work was refused with it.
[[nodiscard]] inline Reply done_when(core::PersistNumber after) {
  Reply out;
  out.after = after;
  out.even_if_refused = true;
  return out;
}

[[nodiscard]] inline Reply done_when(core::Changed changed) {
  Reply out = done_when(changed.after);
  out.even_if_refused = !changed.is_new_work;
  return out;
}

/// Answers when `reply.after` is durable.
void answer_when_durable(Backend& backend, const Ticket& ticket, Reply reply);

/// The answer that `look` sees, which waits for all that it may have seen.
template <class Look>
[[nodiscard]] Reply read(Backend& backend, Look look) {
  Reply out = reply(look(), backend.scheduler().newest_persist());
  out.again = [&backend, look](const Ticket& ticket) { answer_when_durable(backend, ticket, read(backend, look)); };
  return out;
}

/// Decoded parameters with their handler, for requests that are decoded on another thread.
class Prepared {
 public:
  virtual ~Prepared() = default;
  [[nodiscard]] virtual Reply run(Context& context) = 0;
};

enum Flags : unsigned {
  reads = 0,
  mutates = 1,      ///< changes something
  submits = 2,      ///< takes new work: the core refuses it while draining, unless it is known by its key
  waits = 4,        ///< may be unanswered for long; not in a batch, bounded by waiting_requests_max
  streams = 8,      ///< answers {"stream": S} and sends items; as `waits`
  may_stream = 16,  ///< where the request asks for it; the handler checks that it may
};

struct Method {
  std::string_view name;
  unsigned flags = reads;
  std::string_view summary;
  std::string_view result;  ///< what is answered, for people
  Reply (*call)(Context&, json::Value params) = nullptr;
  std::unique_ptr<Prepared> (*prepare)(json::Value params) = nullptr;
  nlohmann::json (*describe)() = nullptr;         ///< schema of the parameters
  nlohmann::json (*describe_result)() = nullptr;  ///< schema of the result; null where `result` is all there is

  [[nodiscard]] bool waits_or_streams() const { return (flags & (waits | streams)) != 0; }
};

/// The parameters of a method; one that has none knows no field.
template <class Request>
[[nodiscard]] Request decode_params(json::Value params) {
  if constexpr (std::tuple_size_v<decltype(Request::fields())> == 0) {
    const json::Path root;
    for (const auto& [key, child] : simdjson::dom::object(params)) json::detail::refuse_unknown(root.field(key), {});
    return {};
  } else {
    return json::decode<Request>(params);
  }
}

template <class Request, Reply (*handler)(Context&, Request&&)>
constexpr Method method(std::string_view name, unsigned flags, std::string_view summary, std::string_view result,
                        nlohmann::json (*describe_result)() = nullptr) {
  class Held final : public Prepared {
   public:
    explicit Held(Request&& request) : request_(std::move(request)) {}
    [[nodiscard]] Reply run(Context& context) override { return handler(context, std::move(request_)); }

   private:
    Request request_;
  };
  return {name,
          flags,
          summary,
          result,
          [](Context& context, json::Value params) { return handler(context, decode_params<Request>(params)); },
          [](json::Value params) -> std::unique_ptr<Prepared> { return std::make_unique<Held>(decode_params<Request>(params)); },
          []() { return json::describe<Request>(); },
          describe_result};
}

template <class Answer>
nlohmann::json answer_schema() {
  return json::describe<Answer>();
}

/// THE method table, in the order of the documentation.
[[nodiscard]] std::span<const Method> method_table();
[[nodiscard]] const Method* find_method(std::string_view name);

/// The OpenRPC document of the table.
[[nodiscard]] nlohmann::json openrpc_document();

}  // namespace stint::api
