#include "daemon/feed/exchange.hpp"

#include <utility>

#include "daemon/feed/hub.hpp"

namespace stint::feed {
namespace {

Error why_left(StreamEnd why, const std::string& what) {
  if (why == StreamEnd::draining) return shutting_down();
  return {ErrorKind::timed_out, "the timeout has passed, and " + what};
}

bool is_now(const std::optional<Duration>& timeout) { return timeout && *timeout == Duration{}; }

}  // namespace

void Exchange::restore(std::vector<core::StoredChannel> channels, const std::vector<std::string>& events) {
  for (core::StoredChannel& channel : channels) channels_.restore(std::move(channel));
  for (const std::string& name : events) events_.restore(name);
}

void Exchange::check() const {
  channels_.check();
  events_.check();
}

template <class Work>
void Exchange::work(Work&& change) {
  core::ChannelAnswers answers;
  ledger_.step([&](core::Step& step) { change(step, answers); });
  answer(std::move(answers));
}

// ---- channels

void Exchange::on_refused(core::PersistNumber number) {
  core::ChannelAnswers answers;
  channels_.on_refused(number, answers);
  events_.on_refused(number);
  answer(std::move(answers));
}

void Exchange::on_durable(core::PersistNumber number) {
  events_.on_durable(number);
  if (!channels_.on_durable(number)) return;
  work([&](core::Step& step, core::ChannelAnswers& out) { channels_.serve_decided(step, out); });
}

core::Changed Exchange::open(const std::string& name, std::uint64_t capacity, bool durable) {
  core::Changed changed;
  work([&](core::Step& step, core::ChannelAnswers& out) { changed = channels_.open(name, capacity, durable, step, out); });
  return changed;
}

core::Changed Exchange::close(const std::string& name) {
  core::Changed changed;
  work([&](core::Step& step, core::ChannelAnswers& out) { changed = channels_.close(name, step, out); });
  return changed;
}

core::PersistNumber Exchange::remove(const std::string& name) {
  core::PersistNumber after = 0;
  work([&](core::Step& step, core::ChannelAnswers& out) { after = channels_.remove(name, step, out); });
  return after;
}

void Exchange::put(StreamId call, const std::string& name, json::Raw item, std::optional<Duration> timeout, PutDone done) {
  calls_.emplace(call, [done](const core::ChannelAnswer& answer) {
    const auto* const error = std::get_if<Error>(&answer.what);
    done(error == nullptr ? std::nullopt : std::optional(*error));
  });
  try {
    work([&](core::Step& step, core::ChannelAnswers& out) { channels_.put(call, name, std::move(item), step, out); });
  } catch (const Error& error) {
    calls_.erase(call);
    return done(error);
  }
  channel_call(call, timeout, "the channel '" + name + "' is full",
               [done](const core::ChannelAnswer& answer) { done(std::get<Error>(answer.what)); });
}

void Exchange::get(StreamId call, const std::string& name, std::uint64_t count, std::optional<Duration> timeout, GetDone done) {
  calls_.emplace(call, [this, done](core::ChannelAnswer answer) {
    if (const auto* const error = std::get_if<Error>(&answer.what)) return done(*error, {});
    GetResult result;
    result.closed = std::holds_alternative<core::ChannelAnswer::Closed>(answer.what);
    if (auto* const taken = std::get_if<core::ChannelAnswer::Items>(&answer.what)) {
      result.items = taken->items;
      result.handed_over = [this, taken = std::move(*taken)](bool handed_over) {
        if (!handed_over) give_back(taken);
      };
    } else {
      result.handed_over = [](bool) {};
    }
    done(std::nullopt, std::move(result));
  });
  try {
    work([&](core::Step& step, core::ChannelAnswers& out) { channels_.get(call, name, count, step, out); });
  } catch (const Error& error) {
    calls_.erase(call);
    return done(error, {});
  }
  channel_call(call, timeout, "the channel '" + name + "' is empty",
               [done](const core::ChannelAnswer& answer) { done(std::get<Error>(answer.what), {}); });
}

// The call has begun. Where it waits, the feed knows when that ends.
void Exchange::channel_call(StreamId call, std::optional<Duration> timeout, const std::string& what, Answered answered) {
  if (!channels_.waits(call)) return;
  const auto left = [this, call, what, answered = std::move(answered)](StreamEnd why) {
    calls_.erase(call);
    work([&](core::Step& step, core::ChannelAnswers& out) { channels_.leave(call, step, out); });
    if (why != StreamEnd::cancelled) answered({call, 0, why_left(why, what)});
  };
  is_now(timeout) ? left(StreamEnd::timed_out) : feed_.hold(call, timeout, left);
}

void Exchange::answer(core::ChannelAnswers answers) {
  for (core::ChannelAnswer& one : answers) {
    auto call = calls_.extract(one.call);
    if (!call) continue;
    feed_.served(one.call);
    if (one.after == 0) {
      call.mapped()(std::move(one));
      continue;
    }
    const core::PersistNumber after = one.after;
    ledger_.when_durable(
        after, [this, answered = std::move(call.mapped()), one = std::move(one)](const std::optional<Error>& refused) mutable {
          // What was taken is taken, whatever else was refused with it.
          if (const auto* const put = std::get_if<core::ChannelAnswer::Accepted>(&one.what)) {
            if (refused) {
              one.what = *refused;
            } else if (channels_.was_refused(put->channel)) {
              one.what = unavailable("the store had no room for the channel itself", "store");
            }
          }
          answered(std::move(one));
        });
  }
}

void Exchange::give_back(core::ChannelAnswer::Items taken) {
  work([&](core::Step& step, core::ChannelAnswers& out) { channels_.give_back(std::move(taken), step, out); });
}

// ---- events

core::Changed Exchange::set(const std::string& name) {
  core::NamedEvents::Woken woken;
  ledger_.step([&](core::Step& step) { woken = events_.set(name, step); });
  for (const core::CallId call : woken.calls) wake(call, name, woken.changed.after);
  return woken.changed;
}

core::PersistNumber Exchange::clear(const std::string& name) {
  ledger_.step([&](core::Step& step) { events_.clear(name, step); });
  return ledger_.newest();
}

void Exchange::wait(StreamId call, const std::string& name, std::optional<Duration> timeout, WaitDone done) {
  const auto left = [this, call, what = "the event '" + name + "' is not set", done](StreamEnd why) {
    waits_.erase(call);
    events_.leave(call);
    if (why != StreamEnd::cancelled) done(why_left(why, what));
  };
  if (is_now(timeout)) {
    if (!events_.is_set(name)) return left(StreamEnd::timed_out);
    return ledger_.when_durable(events_.set_in(name), [left, done](const std::optional<Error>& refused) {
      refused ? left(StreamEnd::timed_out) : done(std::nullopt);
    });
  }
  waits_.emplace(call, done);
  feed_.hold(call, timeout, left);
  stand(call, name);
}

void Exchange::stand(StreamId call, const std::string& name) {
  if (!waits_.contains(call)) return;  // it has left meanwhile
  try {
    if (events_.wait(call, name)) wake(call, name, events_.set_in(name));
  } catch (const Error& error) {
    end_wait(call, error);
  }
}

void Exchange::wake(StreamId call, const std::string& name, core::PersistNumber after) {
  ledger_.when_durable(after, [this, call, name](const std::optional<Error>& refused) {
    refused ? stand(call, name) : end_wait(call, std::nullopt);
  });
}

void Exchange::end_wait(StreamId call, const std::optional<Error>& error) {
  const auto wait = waits_.extract(call);
  if (!wait) return;
  feed_.served(call);
  wait.mapped()(error);
}

}  // namespace stint::feed
