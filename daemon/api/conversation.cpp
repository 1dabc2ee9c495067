#include "daemon/api/conversation.hpp"

#include <utility>

namespace stint::api {
namespace {

Error answer_too_large(std::size_t bytes) {
  return limit_exceeded("the answer of " + std::to_string(bytes) + " bytes is larger than an answer may be: ask for less",
                        "answer_bytes_max", limits::answer_bytes_max);
}

/// While an input is worked on, what changes needs no wake.
class Flag {
 public:
  explicit Flag(bool& flag) : flag_(flag), before_(std::exchange(flag, true)) {}
  ~Flag() { flag_ = before_; }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;

 private:
  bool& flag_;
  bool before_;
};

}  // namespace

// ---- tickets

std::shared_ptr<Conversation> Ticket::open() const {
  auto conversation = conversation_.lock();
  if (conversation && !conversation->is_open(*this)) conversation.reset();
  return conversation;
}

void Ticket::result(std::string_view json) const {
  if (const auto conversation = conversation_.lock()) conversation->resolve(*this, json);
}

void Ticket::result(std::string_view json, Receipt receipt) const {
  const auto conversation = open();
  if (!conversation) return receipt(false);
  conversation->resolve(*this, json, std::move(receipt));
}

void Ticket::error(const Error& error) const {
  if (const auto conversation = conversation_.lock()) conversation->resolve_error(*this, error);
}

// ---- inputs

Conversation::Conversation(std::shared_ptr<const core::User> user, LineHandler& handler, feed::Feed& feed)
    : user_(std::move(user)), handler_(handler), feed_(feed) {}

Conversation::~Conversation() { gone(); }

void Conversation::received(std::size_t bytes) {
  splitter_.commit(bytes);
  proceed();
}

void Conversation::ended() {
  ended_ = true;
  proceed();
}

void Conversation::proceed() {
  const Flag input(in_input_);
  while (!failed_ && !gone_ && !input_done_ && !decoding_ && pending_ < limits::pending_requests_max &&
         outbox_.unsent() < limits::outbox_bytes_high) {
    auto line = splitter_.next_line();
    if (!line) {
      if (splitter_.overlong()) {
        return fail(limit_exceeded("a line is longer than " + std::to_string(limits::line_bytes_max) +
                                       " bytes: the connection is closed, because its end cannot be found",
                                   "line_bytes_max", limits::line_bytes_max));
      }
      if (!ended_) return;
      line = splitter_.rest();
      input_done_ = !line;
      if (input_done_) return;
    }
    if (line->size() > limits::inline_decode_bytes_max) {
      decoding_ = true;
      handler_.on_long_line(shared_from_this(), std::string(*line));
    } else {
      handler_.on_line(*this, *line);
    }
  }
}

void Conversation::decoded() {
  decoding_ = false;
  wake();
}

void Conversation::sent(std::size_t bytes) {
  const Flag input(in_input_);
  outbox_.sent(bytes);
  while (!receipts_.empty() && receipts_.front().first <= outbox_.left()) {
    const Receipt receipt = std::move(receipts_.front().second);
    receipts_.pop_front();
    receipt(true);
  }
  if (outbox_.unsent() >= limits::outbox_bytes_high / 2) return;
  if (std::exchange(held_back_, false)) {
    const auto streams = streams_;
    for (const auto& [id, local] : streams) {
      if (local) {
        local->resume();
      } else {
        feed_.resume(id);
      }
    }
  }
  proceed();
}

void Conversation::gone() {
  if (std::exchange(gone_, true)) return;
  drop_waiting();
  slots_.clear();
  free_slots_.clear();
  outbox_.clear();
  for (const auto& each : std::exchange(receipts_, {})) each.second(false);
  for (const auto& [name, end] : std::exchange(bound_, {})) end();
  tell_waits();
  if (binding_ != 0) feed_.drop(binding_);
}

void Conversation::enter(JobId job, Attempt attempt, std::function<void(bool)> waits) {
  if (job_ != 0) return;
  job_ = job;
  attempt_ = attempt;
  waits_ = std::move(waits);
  tell_waits();
}

void Conversation::tell_waits() {
  if (!waits_) return;
  const bool waits = !gone_ && (waiting_ > 0 || !streams_.empty());
  if (std::exchange(told_waits_, waits) != waits) waits_(waits);
}

std::uint64_t Conversation::binding(std::function<void(std::uint64_t)> gone) {
  if (binding_ == 0) {
    binding_ = feed_.next_id();
    feed_.hold(binding_, std::nullopt, [gone = std::move(gone), id = binding_](StreamEnd why) {
      if (why == StreamEnd::cancelled) gone(id);
    });
  }
  return binding_;
}

void Conversation::finish() {
  failed_ = true;
  drop_waiting();
}

void Conversation::fail(const Error& error) {
  answer_error({}, error);
  failed_ = true;
  drop_waiting();
}

void Conversation::drop_waiting() {
  const auto streams = std::exchange(streams_, {});
  for (const auto& [id, local] : streams) {
    if (!local) feed_.drop(id);
  }
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].open && slots_[i].waits_for != 0) feed_.drop(slots_[i].waits_for);
  }
}

void Conversation::idle() {
  if (splitter_.pending_bytes() == 0) splitter_ = LineSplitter(limits::line_bytes_max);
}

Conversation::Wants Conversation::wants() const {
  Wants wants;
  const bool answered = pending_ == 0 && !decoding_ && outbox_.empty();
  const bool finished = ended_ && input_done_ && waiting_ == 0 && streams_.empty();
  wants.close = gone_ || (answered && (failed_ || finished));
  if (wants.close) return wants;
  wants.send = !outbox_.empty();
  wants.watch = ended_;
  wants.read = !ended_ && !failed_ && !decoding_ && pending_ < limits::pending_requests_max &&
               outbox_.unsent() < limits::outbox_bytes_high;
  return wants;
}

void Conversation::wake() {
  if (!in_input_ && wake_) wake_();
}

// ---- answers

std::string& Conversation::begin_answer(const CallHead& head) {
  std::string& out = head.batch ? head.batch->answers[head.place] : outbox_.text();
  out += R"({"jsonrpc":"2.0","id":)";
  out += head.id;
  return out;
}

void Conversation::end_answer(const CallHead& head) {
  std::string& out = outbox_.text();
  if (head.batch) {
    if (--head.batch->open > 0) return;
    // Notifications leave an empty place behind; a batch of nothing else is not answered at all.
    char before = '[';
    for (const auto& answer : head.batch->answers) {
      if (answer.empty()) continue;
      out += std::exchange(before, ',');
      out += answer;
    }
    if (before == '[') return;
    out += ']';
  }
  out += '\n';
  outbox_.mark_answer();
  wake();
}

void Conversation::answer(const CallHead& head, std::string_view result) {
  if (gone_) return;
  if (head.muted) {
    if (head.batch) end_answer(head);
    return;
  }
  if (result.size() > limits::answer_bytes_max) return answer_error(head, answer_too_large(result.size()));
  std::string& out = begin_answer(head);
  out += R"(,"result":)";
  out += result;
  out += '}';
  end_answer(head);
}

void Conversation::answer_error(const CallHead& head, const Error& error) {
  if (gone_) return;
  if (head.muted) {
    if (head.batch) end_answer(head);
    return;
  }
  std::string& out = begin_answer(head);
  out += R"(,"error":)";
  json::Writer writer(out);
  protocol::encode_error(writer, error);
  out += '}';
  end_answer(head);
}

Ticket Conversation::defer(CallHead head, Flavor flavor, feed::StreamId waits_for) {
  ++(flavor == Flavor::waiting ? waiting_ : pending_);
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  Slot& slot = slots_[index];
  slot.head = std::move(head);
  slot.flavor = flavor;
  slot.open = true;
  slot.waits_for = waits_for;
  Ticket ticket(weak_from_this(), index, ++slot.generation);
  tell_waits();
  return ticket;
}

bool Conversation::is_open(const Ticket& ticket) const {
  if (ticket.slot() >= slots_.size()) return false;
  const Slot& slot = slots_[ticket.slot()];
  return slot.open && slot.generation == ticket.generation();
}

CallHead Conversation::take_slot(const Ticket& ticket) {
  Slot& slot = slots_[ticket.slot()];
  slot.open = false;
  free_slots_.push_back(ticket.slot());
  --(slot.flavor == Flavor::waiting ? waiting_ : pending_);
  CallHead head = std::move(slot.head);
  tell_waits();
  return head;
}

void Conversation::resolve(const Ticket& ticket, std::string_view result) {
  if (is_open(ticket)) answer(take_slot(ticket), result);
}

void Conversation::resolve(const Ticket& ticket, std::string_view result, Receipt receipt) {
  const bool fits = result.size() <= limits::answer_bytes_max;
  resolve(ticket, result);
  if (!fits) return receipt(false);
  receipts_.emplace_back(outbox_.appended(), std::move(receipt));
}

void Conversation::resolve_error(const Ticket& ticket, const Error& error) {
  if (is_open(ticket)) answer_error(take_slot(ticket), error);
}

// ---- streams

void Conversation::stream_opened(feed::StreamId stream, std::shared_ptr<LocalStream> local) {
  streams_.emplace(stream, std::move(local));
  tell_waits();
}

bool Conversation::stream_cancel(feed::StreamId stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return false;
  if (found->second) {
    end(stream, StreamEnd::cancelled, nullptr);
  } else {
    feed_.cancel(stream);
  }
  return true;
}

std::string& Conversation::begin_item(feed::StreamId stream) {
  std::string& out = outbox_.text();
  out += R"({"jsonrpc":"2.0","method":"stream.item","params":{"stream":)";
  out += std::to_string(stream);
  out += R"(,"item":)";
  return out;
}

void Conversation::stream_item(feed::StreamId stream, std::string_view json) {
  if (!streams_.contains(stream)) return;
  begin_item(stream) += json;
  outbox_.text() += "}}\n";
  wake();
}

void Conversation::result(feed::StreamId stream, const core::FinishedJob& job, const feed::RecordPart& part) {
  if (!streams_.contains(stream)) return;
  feed::append_record(begin_item(stream), job, part);
  outbox_.text() += "}}\n";
  wake();
}

void Conversation::end(feed::StreamId stream, StreamEnd reason, const Error* error) {
  if (streams_.erase(stream) == 0) return;
  tell_waits();
  std::string& out = outbox_.text();
  out += R"({"jsonrpc":"2.0","method":"stream.end","params":{"stream":)";
  out += std::to_string(stream);
  out += R"(,"reason":")";
  out += json::enum_name(reason);
  out += '"';
  if (error != nullptr) {
    out += R"(,"error":)";
    json::Writer writer(out);
    protocol::encode_error(writer, *error);
  }
  out += "}}\n";
  wake();
}

bool Conversation::full() const {
  const bool full = outbox_.unsent() >= limits::outbox_bytes_high;
  held_back_ = held_back_ || full;
  return full;
}

}  // namespace stint::api
