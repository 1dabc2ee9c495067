// A job's output, in pieces and followed, and its standard input.
#include "common/base64.hpp"
#include "daemon/api/lookup.hpp"
#include "daemon/api/methods.hpp"
#include "daemon/api/text_piece.hpp"

namespace stint::api {
namespace {

constexpr std::uint64_t follow_bytes = 256U << 10U;

/// One piece as an answer. A character that is cut at its end is left for the next piece, where there is one and
/// something is left without it.
protocol::OutputChunk chunk_of(const OutputPiece& piece) {
  protocol::OutputChunk chunk;
  chunk.offset = piece.offset;
  chunk.next = piece.next;
  chunk.end = piece.end;
  if (piece.attempt > 0) chunk.attempt = piece.attempt;
  std::string_view bytes = piece.bytes;
  const std::size_t tail = piece.end ? 0 : unfinished_tail(bytes);
  if (tail > 0 && tail < bytes.size() && json::is_utf8(bytes.substr(0, bytes.size() - tail))) {
    bytes.remove_suffix(tail);
    chunk.next -= tail;
  }
  encode_bytes(chunk, bytes);
  return chunk;
}

/// A followed output: a chain of questions that wait where the bytes arise, through all further attempts of the job. The next
/// is asked only while the outbox has room, so a slow reader holds up nobody.
class FollowedOutput final : public LocalStream, public std::enable_shared_from_this<FollowedOutput> {
 public:
  FollowedOutput(Backend& backend, std::weak_ptr<Conversation> conversation, feed::StreamId id, Backend::OutputQuestion question)
      : backend_(backend), conversation_(std::move(conversation)), id_(id), question_(question) {
    question_.wait = true;
    question_.limit = std::min(question_.limit, follow_bytes);
  }

  void resume() override {
    const auto conversation = conversation_.lock();
    if (asking_ || !conversation || !conversation->has_stream(id_) || conversation->full()) return;
    asking_ = true;
    backend_.read_output(question_, [self = shared_from_this()](const std::optional<Error>& error, const OutputPiece& piece) {
      self->asking_ = false;
      self->on_piece(error, piece);
    });
  }

 private:
  void on_piece(const std::optional<Error>& error, const OutputPiece& piece) {
    const auto conversation = conversation_.lock();
    if (!conversation || !conversation->has_stream(id_)) return;
    if (error && after_retry_ && error->kind() == ErrorKind::not_found) {  // the job has ended without another attempt
      return conversation->end(id_, StreamEnd::complete, nullptr);
    }
    if (error) return conversation->end(id_, StreamEnd::error, &*error);
    question_.attempt = piece.attempt;
    after_retry_ = false;
    // The beginning of a character is kept until the rest of it has come.
    if (!carry_.empty() && piece.offset != question_.offset)
      send(*conversation, std::exchange(carry_, {}), question_.offset, false);
    const std::uint64_t offset = piece.offset - carry_.size();
    std::string bytes = std::exchange(carry_, {}) + piece.bytes;
    const std::size_t tail = piece.end ? 0 : unfinished_tail(bytes);
    if (tail > 0 && json::is_utf8(std::string_view(bytes).substr(0, bytes.size() - tail))) {
      carry_ = bytes.substr(bytes.size() - tail);
      bytes.resize(bytes.size() - tail);
    }
    question_.offset = piece.next;
    const bool over = piece.end && piece.last;
    if (!bytes.empty() || over) send(*conversation, bytes, offset + bytes.size(), over);
    if (over) return conversation->end(id_, StreamEnd::complete, nullptr);
    if (piece.end) {
      ++question_.attempt;
      question_.offset = 0;
      after_retry_ = true;
    }
    resume();
  }

  /// `next` is the offset behind `bytes`.
  void send(Conversation& conversation, const std::string& bytes, std::uint64_t next, bool end) const {
    protocol::OutputChunk chunk;
    chunk.offset = next - bytes.size();
    chunk.next = next;
    chunk.end = end;
    chunk.attempt = question_.attempt;
    encode_bytes(chunk, bytes);
    conversation.stream_item(id_, json::encode_text(chunk));
  }

  Backend& backend_;
  std::weak_ptr<Conversation> conversation_;
  feed::StreamId id_;
  Backend::OutputQuestion question_;
  std::string carry_;
  bool after_retry_ = false;  // an attempt is asked for that may never come
  bool asking_ = false;
};

/// Follows where there is such a job with such an output; the question that finds out is also the first of the chain.
void open_follow(Backend& backend, const Ticket& ticket, Backend::OutputQuestion question) {
  Backend::OutputQuestion probe = question;
  probe.wait = false;
  probe.limit = 1;
  backend.read_output(probe, [&backend, ticket, question](const std::optional<Error>& error, const OutputPiece&) {
    if (error) return ticket.error(*error);
    const auto conversation = ticket.open();
    if (!conversation) return;
    const feed::StreamId id = backend.feed().next_id();
    ticket.result(R"({"stream":)" + std::to_string(id) + "}");
    const auto stream = std::make_shared<FollowedOutput>(backend, conversation, id, question);
    conversation->stream_opened(id, stream);
    stream->resume();
  });
}

}  // namespace

Reply on_output(Context& context, protocol::OutputRequest&& request) {
  if (request.follow) context.require_waiting_place();
  const Backend::OutputQuestion question{request.id, request.attempt.value_or(0), request.of, request.offset, request.limit,
                                         false};
  Backend& backend = context.backend;
  const auto ask = [&backend, follow = request.follow, question](const Ticket& ticket) {
    if (follow) return open_follow(backend, ticket, question);
    backend.read_output(question, [ticket](const std::optional<Error>& error, const OutputPiece& piece) {
      if (error) {
        ticket.error(*error);
      } else {
        ticket.result(json::encode_text(chunk_of(piece)));
      }
    });
  };
  const Ticket ticket = context.defer();
  if (const auto* const job = backend.scheduler().find(request.id)) {
    context.require_owner(job->user->uid, request.id);
    ask(ticket);
    return Reply::later();
  }
  if (context.may_act(context.options.daemon_uid)) {  // may see every job
    ask(ticket);
    return Reply::later();
  }
  backend.store().get({request.id},
                      [ticket, ask, id = request.id, uid = context.user()->uid](const std::vector<db::Found>& found) {
                        const auto& row = found.front();
                        if (row.presence == db::Presence::found && row.job->user->uid != uid) {
                          return ticket.error(Error(ErrorKind::permission_denied, "job " + std::to_string(id) + " is not yours"));
                        }
                        ask(ticket);
                      });
  return Reply::later();
}

Reply on_input(Context& context, protocol::InputRequest&& request) {
  std::string bytes = std::move(request.data);
  if (request.encoding == Encoding::base64) {
    auto decoded = base64_decode(bytes);
    if (!decoded) throw invalid_params("data", "base64 with padding");
    bytes = std::move(*decoded);
  }
  if (bytes.size() > limits::input_chunk_bytes_max) {
    throw limit_exceeded(
        "more input in one call than " + std::to_string(limits::input_chunk_bytes_max) + " bytes: send it in parts",
        "input_chunk_bytes_max", limits::input_chunk_bytes_max);
  }
  if (const auto* const job = context.backend.scheduler().find(request.id)) context.require_owner(job->user->uid, request.id);
  const Ticket ticket = context.defer();
  context.backend.write_input(request.id, {std::move(bytes), request.end, request.offset},
                              [ticket](const std::optional<Error>& error) {
                                if (error) {
                                  ticket.error(*error);
                                } else {
                                  ticket.result("{}");
                                }
                              });
  return Reply::later();
}

}  // namespace stint::api
