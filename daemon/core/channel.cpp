#include "daemon/core/channel.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "common/limits.hpp"
#include "common/nearest.hpp"

namespace stint::core {
namespace {

Error is_closed(const std::string& name) {
  return {ErrorKind::conflict, "the channel '" + name + "' is closed: nothing more can be put; channel.open opens it again"};
}
Error was_removed(const std::string& name) {
  return {ErrorKind::not_found, "the channel '" + name + "' was removed while this call waited"};
}

}  // namespace

bool Channels::Channel::takes(const json::Raw& item) const {
  if (items.size() >= shape.capacity) return false;
  return items.empty() || bytes + item.text.size() <= limits::channel_bytes_max;
}

Channels::Channel& Channels::require(const std::string& name) {
  const auto found = channels_.find(name);
  if (found != channels_.end()) return found->second;
  std::vector<std::string_view> known;
  for (const auto& [one, channel] : channels_) known.push_back(one);
  Error error(ErrorKind::not_found, "there is no channel '" + name + "': open it first");
  error.field = "name";
  error.nearest = nearest_name(name, known);
  throw error;
}

Changed Channels::record(const Channel& channel, std::optional<Shape> before, Step& step) {
  if (!channel.durable) return {};
  const bool made = !before || made_.is_open(channel.name);
  const PersistNumber number =
      step.record(ChannelFact{channel.number, channel.name, channel.shape.capacity, channel.shape.closed, false, made});
  if (made) {
    made_.changed(number, channel.name, before);
    undecided_.emplace_back(number, channel.name);
  }
  return {number, made};
}

// ---- the channels themselves

Changed Channels::open(const std::string& name, std::uint64_t capacity, bool durable, Step& step, ChannelAnswers& out) {
  auto found = channels_.find(name);
  std::optional<Shape> before;
  if (found == channels_.end()) {
    if (channels_.size() >= limits::channels_max) {
      throw limit_exceeded("there are " + std::to_string(limits::channels_max) + " channels: remove some", "channels_max",
                           limits::channels_max);
    }
    found = channels_.try_emplace(name).first;
    found->second.number = ++last_number_;
    found->second.name = name;
    found->second.durable = durable;
  } else if (found->second.durable != durable) {
    throw Error(ErrorKind::conflict, "the channel '" + name + "' is there and is " + (durable ? "not " : "") +
                                         "durable: remove it first, or open it as it is");
  } else {
    before = found->second.shape;
  }
  Channel& channel = found->second;
  channel.shape = {capacity, false};
  const Changed changed = record(channel, before, step);
  serve(channel, step, out);
  return changed;
}

Changed Channels::close(const std::string& name, Step& step, ChannelAnswers& out) {
  Channel& channel = require(name);
  const Shape before = std::exchange(channel.shape, {channel.shape.capacity, true});
  const Changed changed = record(channel, before, step);
  refuse_putting(channel, is_closed(name), out);
  serve(channel, step, out);
  return changed;
}

PersistNumber Channels::remove(const std::string& name, Step& step, ChannelAnswers& out) {
  Channel& channel = require(name);
  const PersistNumber number =
      channel.durable ? step.record(ChannelFact{channel.number, name, channel.shape.capacity, channel.shape.closed, true}) : 0;
  made_.settled(name);
  drop(name, out);
  return number;
}

void Channels::drop(const std::string& name, ChannelAnswers& out) {
  const auto found = channels_.find(name);
  refuse_putting(found->second, was_removed(name), out);
  for (const auto& [call, count] : found->second.getting) {
    callers_.erase(call);
    out.push_back({call, 0, was_removed(name)});
  }
  channels_.erase(found);
}

void Channels::refuse_putting(Channel& channel, const Error& error, ChannelAnswers& out) {
  for (const auto& [call, item] : channel.putting) {
    callers_.erase(call);
    out.push_back({call, 0, error});
  }
  channel.putting.clear();
}

// ---- items

bool Channels::has_room(const std::string& name, const json::Raw& item) const {
  const auto found = channels_.find(name);
  return found != channels_.end() && found->second.putting.empty() && found->second.takes(item);
}

void Channels::put(CallId call, const std::string& name, json::Raw item, Step& step, ChannelAnswers& out) {
  Channel& channel = require(name);
  if (channel.shape.closed) throw is_closed(name);
  channel.putting.emplace(call, std::move(item));
  callers_.emplace(call, &channel);
  serve(channel, step, out);
}

void Channels::get(CallId call, const std::string& name, std::uint64_t count, Step& step, ChannelAnswers& out) {
  Channel& channel = require(name);
  channel.getting.emplace(call, count);
  callers_.emplace(call, &channel);
  serve(channel, step, out);
}

Channels::Channel* Channels::leave_line(CallId call) {
  const auto found = callers_.extract(call);
  if (!found) return nullptr;
  found.mapped()->putting.erase(call);
  found.mapped()->getting.erase(call);
  return found.mapped();
}

// A smaller item behind the one that left may fit.
void Channels::leave(CallId call, Step& step, ChannelAnswers& out) {
  if (Channel* const channel = leave_line(call)) serve(*channel, step, out);
}

PersistNumber Channels::append(Channel& channel, json::Raw item, Step& step) {
  ChannelItem appended{channel.next_position++, 0, std::make_shared<const json::Raw>(std::move(item))};
  if (channel.durable) {
    appended.after = step.record(ChannelPutFact{channel.number, appended.position, appended.value, false});
    undecided_.emplace_back(appended.after, channel.name);
  }
  channel.bytes += appended.value->text.size();
  const PersistNumber after = appended.after;
  channel.items.push_back(std::move(appended));
  return after;
}

void Channels::hand_over(Channel& channel, CallId call, std::uint64_t count, Step& step, ChannelAnswers& out) {
  ChannelAnswer::Items taken{channel.number, {}};
  std::vector<std::int64_t> positions;
  std::uint64_t bytes = 0;
  while (taken.items.size() < count && channel.ready(durable_)) {
    const std::uint64_t size = channel.items.front().value->text.size();
    if (bytes > 0 && bytes + size > limits::channel_answer_bytes_max) break;
    bytes += size;
    positions.push_back(channel.items.front().position);
    taken.items.push_back(std::move(channel.items.front()));
    channel.items.pop_front();
  }
  channel.bytes -= bytes;
  const PersistNumber after = channel.durable ? step.record(ChannelTakeFact{channel.number, std::move(positions)}) : 0;
  out.push_back({call, after, std::move(taken)});
}

// Each turn serves one of either line, because one makes room for the other.
void Channels::serve(Channel& channel, Step& step, ChannelAnswers& out) {
  while (true) {
    if (!channel.getting.empty() && channel.ready(durable_)) {
      const auto [call, count] = *channel.getting.begin();
      leave_line(call);
      hand_over(channel, call, count, step, out);
    } else if (!channel.putting.empty() && channel.takes(channel.putting.begin()->second)) {
      const CallId call = channel.putting.begin()->first;
      json::Raw item = std::move(channel.putting.begin()->second);
      leave_line(call);
      out.push_back({call, append(channel, std::move(item), step), ChannelAnswer::Accepted{channel.number}});
    } else {
      break;
    }
  }
  if (!channel.shape.closed || !channel.items.empty()) return;
  for (const auto& [call, count] : channel.getting) {
    callers_.erase(call);
    out.push_back({call, 0, ChannelAnswer::Closed{}});
  }
  channel.getting.clear();
}

void Channels::give_back(ChannelAnswer::Items taken, Step& step, ChannelAnswers& out) {
  const auto found = std::ranges::find_if(channels_, [&](const auto& each) { return each.second.number == taken.channel; });
  if (found == channels_.end()) return;
  Channel& channel = found->second;
  for (ChannelItem& item : taken.items) {
    if (channel.durable) step.record(ChannelPutFact{channel.number, item.position, item.value, true});
    item.after = 0;  // it was on disk once: it is not refused any more
    channel.bytes += item.value->text.size();
    const auto behind = std::ranges::upper_bound(channel.items, item.position, {}, &ChannelItem::position);
    channel.items.insert(behind, std::move(item));
  }
  serve(channel, step, out);
}

// ---- the store

bool Channels::on_durable(PersistNumber number) {
  durable_ = std::max(durable_, number);
  made_.decided(durable_);
  if (undecided_.empty()) vanished_.clear();
  return !undecided_.empty() && undecided_.front().first <= durable_;
}

void Channels::serve_decided(Step& step, ChannelAnswers& out) {
  refused_ = false;
  std::string last;
  while (!undecided_.empty() && undecided_.front().first <= durable_) {
    const std::string name = std::move(undecided_.front().second);
    undecided_.pop_front();
    const auto found = channels_.find(name);
    if (found != channels_.end() && name != std::exchange(last, name)) serve(found->second, step, out);
  }
}

void Channels::on_refused(PersistNumber number, ChannelAnswers& out) {
  refused_ = true;
  auto each = std::ranges::lower_bound(undecided_, number, {}, &std::pair<PersistNumber, std::string>::first);
  for (; each != undecided_.end() && each->first == number; ++each) {
    const auto found = channels_.find(each->second);
    if (found == channels_.end()) continue;
    std::erase_if(found->second.items, [&](const ChannelItem& item) {
      if (item.after != number) return false;
      found->second.bytes -= item.value->text.size();
      return true;
    });
  }
  for (const auto& [name, before] : made_.refused(number)) {
    Channel& channel = channels_.find(name)->second;
    if (before) {
      channel.shape = *before;
      if (channel.shape.closed) refuse_putting(channel, is_closed(name), out);
    } else {
      vanished_.insert(channel.number);
      drop(name, out);
    }
  }
}

void Channels::restore(StoredChannel stored) {
  Channel& channel = channels_[stored.name];
  channel.number = stored.channel;
  channel.name = stored.name;
  channel.shape = {stored.capacity, stored.closed};
  channel.durable = true;
  for (auto& [position, value] : stored.items) {
    channel.bytes += value->text.size();
    channel.items.push_back({position, 0, std::move(value)});
    channel.next_position = position + 1;
  }
  last_number_ = std::max(last_number_, stored.channel);
}

// ---- questions

std::vector<ChannelState> Channels::list() const {
  std::vector<ChannelState> states;
  for (const auto& [name, channel] : channels_) {
    states.push_back({name, channel.shape.capacity, channel.durable, channel.shape.closed, channel.items.size(), channel.bytes,
                      channel.putting.size(), channel.getting.size()});
  }
  return states;
}

void Channels::check() const {
  std::size_t waiting = 0;
  for (const auto& [name, channel] : channels_) {
    const auto wrong = [&name = name](const std::string& what) { throw std::logic_error("channel " + name + ": " + what); };
    std::uint64_t bytes = 0;
    std::int64_t last = 0;
    PersistNumber newest = 0;
    for (const ChannelItem& item : channel.items) {
      bytes += item.value->text.size();
      if (item.position <= last || item.position >= channel.next_position) wrong("its items are out of order");
      if (item.after < newest) wrong("an item is on disk before one that lies ahead of it");
      if (item.after != 0 && !channel.durable) wrong("an item waits for the disk");
      last = item.position;
      newest = item.after;
    }
    if (bytes != channel.bytes) wrong("its bytes are counted wrong");
    if (!channel.getting.empty() && channel.ready(durable_)) wrong("an item lies there and somebody waits for it");
    if (channel.shape.closed && !channel.putting.empty()) wrong("it is closed and somebody waits to put");
    if (!refused_ && channel.shape.closed && channel.items.empty() && !channel.getting.empty())
      wrong("it has ended and somebody waits for an item");
    for (const auto& [call, item] : channel.putting) {
      if (callers_.at(call) != &channel) wrong("a call is known elsewhere");
    }
    for (const auto& [call, count] : channel.getting) {
      if (callers_.at(call) != &channel) wrong("a call is known elsewhere");
    }
    if (!refused_ && !channel.putting.empty() && channel.takes(channel.putting.begin()->second)) {
      wrong("there is room and somebody waits for it");
    }
    waiting += channel.putting.size() + channel.getting.size();
  }
  if (waiting != callers_.size()) throw std::logic_error("channels: a call waits in no line");
}

}  // namespace stint::core
