#include "daemon/feed/events.hpp"

#include "common/json.hpp"

namespace stint::feed {
namespace {

void encode_event(std::string& out, std::uint64_t number, const Event& event) {
  json::Writer writer(out);
  writer.begin_object();
  writer.key("number");
  writer.unsigned_integer(number);
  writer.key("kind");
  writer.string(protocol::event_kinds.at(static_cast<std::size_t>(event.kind)));
  writer.key("at");
  writer.seconds(event.at);
  writer.key("id");
  writer.unsigned_integer(event.id);
  if (event.group) {
    writer.key("group");
    writer.string(*event.group);
  }
  if (event.user) {
    writer.key("user");
    writer.string(event.user->name);
  }
  if (event.attempt > 0) {
    writer.key("attempt");
    writer.unsigned_integer(event.attempt);
  }
  if (event.kind == core::EventKind::progress) {
    writer.key("value");
    writer.real(event.progress);
    if (!event.text.empty()) {
      writer.key("text");
      writer.string(event.text);
    }
  }
  if (event.kind == core::EventKind::retrying) {
    writer.key("outcome");
    writer.string(json::enum_name(event.outcome));
    writer.key("until");
    writer.seconds(event.again_at);
  }
  if (event.kind == core::EventKind::finished) {
    writer.key("seq");
    writer.unsigned_integer(event.seq);
    writer.key("outcome");
    writer.string(json::enum_name(event.outcome));
  }
  writer.end_object();
}

}  // namespace

void EventLog::append(const core::Publish& publish) {
  Event event;
  event.kind = publish.kind;
  event.attempt = publish.attempt;
  event.id = publish.id;
  event.at = publish.at;
  event.user = publish.user;
  if (publish.kind == core::EventKind::progress) {
    event.progress = publish.progress;
    event.text = publish.text.substr(0, event_text_bytes_max);
  }
  if (publish.finished) {
    event.seq = publish.finished->seq;
    event.outcome = publish.finished->outcome;
  }
  if (publish.ended) {
    event.outcome = publish.ended->outcome;
    event.again_at = publish.ended->again_at;
  }
  if (publish.spec && publish.spec->group) {
    const bool same = !ring_.empty() && ring_.back().group && *ring_.back().group == *publish.spec->group;
    event.group = same ? ring_.back().group : std::make_shared<const std::string>(*publish.spec->group);
  }
  if (ring_.size() == events_kept_max) ring_.pop_front();
  ring_.push_back(std::move(event));
  ++newest_;
}

Subscription::Subscription(Hub& hub, StreamId id, const EventLog& log, std::vector<Subscription*>& all, SubscribeOptions options,
                           Sink& sink)
    : Entry(hub, id),
      log_(log),
      all_(all),
      options_(std::move(options)),
      kinds_(options_.kinds.empty() ? ~std::uint32_t{0} : 0),
      sink_(sink),
      seen_(options_.since ? std::min(*options_.since, log.newest()) : log.newest()) {
  for (const auto kind : options_.kinds) kinds_ |= 1U << static_cast<std::uint32_t>(kind);
  all_.push_back(this);
}

bool Subscription::wanted(const Event& event) const {
  if ((kinds_ >> static_cast<std::uint32_t>(event.kind) & 1U) == 0) return false;
  return !options_.group || (event.group && *event.group == *options_.group);
}

void Subscription::pump() {
  while (!dead() && seen_ < log_.newest() && !sink_.full()) {
    text_.clear();
    if (seen_ + 1 < log_.oldest()) {
      const std::uint64_t missed = log_.oldest() - seen_ - 1;
      seen_ += missed;
      text_ = R"({"kind":"gap","missed":)" + std::to_string(missed) + "}";
    } else {
      const Event& event = log_.at(++seen_);
      if (!wanted(event)) continue;
      encode_event(text_, seen_, event);
    }
    sink_.event(id(), text_);
  }
}

void Subscription::stop(StreamEnd reason) {
  if (dead()) return;
  hub_.retire(*this);
  sink_.end(id(), reason, nullptr);
}

}  // namespace stint::feed
