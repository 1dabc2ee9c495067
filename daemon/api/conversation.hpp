// One connection's conversation without its socket: bytes in, lines to the handler, answers and stream items out.
//
// A step machine: the session tells it what happened (`received`, `ended`, `sent`, `gone`, `finish`) and then does what
// `wants` says. It keeps the order of effect, counts what is unanswered, stops the reading while too much is, and knows
// when the connection is done. It calls `wake` when something other than an input has changed what it wants.
// I/O thread only; throws std::bad_alloc only. Owned by shared_ptr: tickets hold it weakly.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/framing.hpp"
#include "common/json.hpp"
#include "common/limits.hpp"
#include "daemon/api/call.hpp"
#include "daemon/api/outbox.hpp"
#include "daemon/core/effects.hpp"
#include "daemon/feed/feed.hpp"

namespace stint::api {

/// Takes the lines of conversations; the dispatcher.
class LineHandler {
 public:
  virtual ~LineHandler() = default;
  /// `text` is followed by json::padding_bytes readable bytes and valid during the call.
  virtual void on_line(Conversation& conversation, std::string_view text) = 0;
  /// A line above limits::inline_decode_bytes_max: decoded elsewhere, then `conversation.decoded()` is called.
  virtual void on_long_line(std::shared_ptr<Conversation> conversation, std::string text) = 0;
};

/// A stream that the feed does not know: a followed output.
class LocalStream {
 public:
  virtual ~LocalStream() = default;
  /// There is room again.
  virtual void resume() = 0;
};

class Conversation final : public feed::Sink, public std::enable_shared_from_this<Conversation> {
 public:
  /// What the session is to do now.
  struct Wants {
    bool read = false;   ///< read more
    bool watch = false;  ///< the peer has ended its side: notice when it closes fully
    bool send = false;   ///< there are bytes to send
    bool close = false;  ///< everything is done
  };

  Conversation(std::shared_ptr<const core::User> user, LineHandler& handler, feed::Feed& feed);
  ~Conversation() override;
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  void on_wake(std::function<void()> wake) { wake_ = std::move(wake); }
  [[nodiscard]] const std::shared_ptr<const core::User>& user() const { return user_; }

  // ---- inputs
  [[nodiscard]] std::span<char> space(std::size_t bytes) { return splitter_.prepare(bytes); }
  void received(std::size_t bytes);
  /// The peer sends no more requests.
  void ended();
  [[nodiscard]] std::string_view to_send() { return outbox_.next(); }
  void sent(std::size_t bytes);
  /// The peer has closed, or does not take its answers: everything of it ends.
  void gone();
  /// The daemon goes: no more requests are read; closes when what is answered has left.
  void finish();
  /// Goes on with lines that are here already, after a pause or a wake.
  void proceed();
  /// Gives back the memory of an idle connection.
  void idle();

  [[nodiscard]] Wants wants() const;
  [[nodiscard]] bool answer_unsent() const { return outbox_.answer_unsent(); }
  /// Nothing more is taken from this peer.
  [[nodiscard]] bool closed() const { return gone_ || failed_; }

  // ---- for the handler and the methods
  /// A long line has been decoded and executed.
  void decoded();
  /// The bytes can no longer be understood: answers the error and closes.
  void fail(const Error& error);
  void answer(const CallHead& head, std::string_view result);
  void answer_error(const CallHead& head, const Error& error);
  /// The call is answered later, through the ticket; `waits_for`: what to drop in the feed where the peer closes before.
  [[nodiscard]] Ticket defer(CallHead head, Flavor flavor, feed::StreamId waits_for = 0);
  /// True while no further waiting call or stream may begin.
  [[nodiscard]] bool waiting_full() const { return waiting_ + streams_.size() >= limits::waiting_requests_max; }
  /// A stream has begun whose answer was just given; `local` where it is not the feed's.
  void stream_opened(feed::StreamId stream, std::shared_ptr<LocalStream> local = nullptr);
  /// False where no such stream is open here.
  bool stream_cancel(feed::StreamId stream);
  [[nodiscard]] bool has_stream(feed::StreamId stream) const { return streams_.contains(stream); }
  void stream_item(feed::StreamId stream, std::string_view json);

  // ---- what ends with this connection
  /// `end` is called when the peer has gone; a later one of this name takes its place.
  void bind(std::string name, std::function<void()> end) { bound_[std::move(name)] = std::move(end); }
  void unbind(const std::string& name) { bound_.erase(name); }
  [[nodiscard]] bool has_bound(const std::string& name) const { return bound_.contains(name); }
  /// What belongs to this connection hangs on this number; `gone` is called with it when nobody is there any more.
  [[nodiscard]] std::uint64_t binding(std::function<void(std::uint64_t)> gone);
  /// The running job that this connection has entered; 0: none.
  [[nodiscard]] JobId job() const { return job_; }
  [[nodiscard]] Attempt attempt() const { return attempt_; }
  /// `waits` is told whenever a first waiting call or stream is opened, and when there is none any more.
  void enter(JobId job, Attempt attempt, std::function<void(bool waits)> waits);

  // ---- for tickets
  [[nodiscard]] bool is_open(const Ticket& ticket) const;
  void resolve(const Ticket& ticket, std::string_view result);
  void resolve(const Ticket& ticket, std::string_view result, Receipt receipt);
  void resolve_error(const Ticket& ticket, const Error& error);

  // ---- feed::Sink
  void result(feed::StreamId stream, const core::FinishedJob& job, const feed::RecordPart& part) override;
  void event(feed::StreamId stream, std::string_view json) override { stream_item(stream, json); }
  void end(feed::StreamId stream, StreamEnd reason, const Error* error) override;
  [[nodiscard]] bool full() const override;

 private:
  struct Slot {
    CallHead head;
    Flavor flavor{};
    std::uint32_t generation = 0;
    bool open = false;
    feed::StreamId waits_for = 0;
  };

  [[nodiscard]] CallHead take_slot(const Ticket& ticket);
  [[nodiscard]] std::string& begin_answer(const CallHead& head);
  void end_answer(const CallHead& head);
  std::string& begin_item(feed::StreamId stream);
  void drop_waiting();
  void tell_waits();
  void wake();

  std::shared_ptr<const core::User> user_;
  LineHandler& handler_;
  feed::Feed& feed_;
  std::function<void()> wake_;

  LineSplitter splitter_{limits::line_bytes_max};
  Outbox outbox_;
  std::deque<std::pair<std::uint64_t, Receipt>> receipts_;  // by where their answers end in the outbox
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::map<feed::StreamId, std::shared_ptr<LocalStream>> streams_;
  std::map<std::string, std::function<void()>> bound_;
  std::uint64_t binding_ = 0;
  JobId job_ = 0;
  Attempt attempt_ = 0;
  std::function<void(bool)> waits_;  // of the job that was entered
  bool told_waits_ = false;
  std::size_t pending_ = 0;  // unanswered calls that end by themselves
  std::size_t waiting_ = 0;  // unanswered calls that wait

  bool decoding_ = false;           // a long line is being decoded: later ones stay where they are
  bool ended_ = false;              // the peer has ended its side
  bool input_done_ = false;         // and every line of it has been taken
  bool failed_ = false;             // no more requests: the bytes make no sense, or the daemon goes
  bool gone_ = false;               // nobody is there any more
  bool in_input_ = false;           // the session looks at `wants` afterwards: no wake is needed
  mutable bool held_back_ = false;  // a stream has been told that there is no room
};

}  // namespace stint::api
