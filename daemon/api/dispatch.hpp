// Lines become calls: JSON-RPC envelope, the checks that need no handler, the method, its answer.
//
// One dispatcher serves all conversations on the I/O thread. Bad input of any kind is answered, never thrown. Long lines
// are parsed and decoded through Backend::offload; their calls are made here, in order.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "common/json.hpp"
#include "daemon/api/conversation.hpp"
#include "daemon/api/method.hpp"

namespace stint::api {

/// A request with its envelope read: what it calls, or what is wrong with it.
struct Request {
  CallHead head;
  const Method* method = nullptr;
  std::optional<json::Value> params;
  std::optional<Error> error;
};

class Dispatcher final : public LineHandler {
 public:
  Dispatcher(Backend& backend, Stats& stats, const Options& options) : backend_(backend), stats_(stats), options_(options) {}

  void on_line(Conversation& conversation, std::string_view text) override;
  void on_long_line(std::shared_ptr<Conversation> conversation, std::string text) override;

 private:
  struct Decoded;

  void on_document(Conversation& conversation, json::Value document);
  void on_batch(Conversation& conversation, simdjson::dom::array batch);
  void refuse_line(Conversation& conversation, std::string_view text, const Error& error);
  void make_calls(Conversation& conversation, Decoded& decoded);
  template <class Run>
  void make_call(Conversation& conversation, Request& request, Run&& run);

  Backend& backend_;
  Stats& stats_;
  const Options& options_;
  json::Parser parser_;
  std::uint64_t incidents_ = 0;
};

/// Reads the envelope of one request; never throws: what is wrong stands in `error`.
[[nodiscard]] Request read_request(json::Value value);

}  // namespace stint::api
