#include "daemon/feed/feed.hpp"

#include <algorithm>

#include "daemon/feed/cursor_stream.hpp"
#include "daemon/feed/events.hpp"
#include "daemon/feed/hub.hpp"
#include "daemon/feed/ready_stream.hpp"
#include "daemon/feed/waits.hpp"

namespace stint::feed {

struct Feed::State {
  State(const core::Scheduler& scheduler, db::Store& store, Timers& timers) : hub(scheduler, store, timers) {}

  void on_submitted(const core::Publish& event);
  void on_finished(const core::FinishedPtr& job);

  Hub hub;
  EventLog log;
  std::vector<Subscription*> subscriptions;
};

Feed::Feed(const core::Scheduler& scheduler, db::Store& store, Timers& timers)
    : state_(std::make_unique<State>(scheduler, store, timers)) {}

Feed::~Feed() { state_->hub.timers.disarm(); }

void Feed::publish(const core::Publish& event) {
  State& state = *state_;
  const Hub::Turn turn(state.hub);
  state.log.append(event);
  if (event.kind == core::EventKind::finished && event.finished) {
    state.on_finished(event.finished);
  } else if (event.kind == core::EventKind::submitted) {
    state.on_submitted(event);
  }
  if (state.subscriptions.empty()) return;
  const auto subscriptions = state.subscriptions;
  for (Subscription* one : subscriptions) one->pump();
}

void Feed::State::on_submitted(const core::Publish& event) {
  if (event.user) {
    for (Watcher* one : hub.by_user.find(event.user->uid)) one->on_submitted(event.id);
  }
  if (!hub.by_group.empty() && event.spec && event.spec->group) {
    for (Watcher* one : hub.by_group.find(*event.spec->group)) one->on_submitted(event.id);
  }
}

void Feed::State::on_finished(const core::FinishedPtr& job) {
  hub.announced = job->seq;
  if (Watcher* const one = hub.by_job.take_first(job->id)) {
    const auto others = hub.by_job.has_more() ? hub.by_job.take_more(job->id) : std::vector<Watcher*>{};
    one->on_finished(job);
    for (Watcher* other : others) other->on_finished(job);
  } else if (hub.by_job.has_more()) {
    for (Watcher* other : hub.by_job.take_more(job->id)) other->on_finished(job);
  }
  if (job->user) {
    for (Watcher* one : hub.by_user.find(job->user->uid)) one->on_finished(job);
  }
  if (!hub.by_group.empty() && job->spec->group) {
    for (Watcher* one : hub.by_group.find(*job->spec->group)) one->on_finished(job);
  }
  if (hub.ending.empty()) return;
  const auto ending = hub.ending;
  for (Watcher* one : ending) static_cast<ResultStream*>(one)->settle();
}

void Feed::vanished(JobId first, std::uint64_t count, const Error& why) {
  Hub& hub = state_->hub;
  const Hub::Turn turn(hub);
  for (JobId id = first; id < first + count && !hub.by_job.empty(); ++id) {
    if (Watcher* const one = hub.by_job.take_first(id)) one->on_vanished(id, 1, why);
    for (Watcher* other : hub.by_job.take_more(id)) other->on_vanished(id, 1, why);
  }
  for (Watcher* one : hub.by_group.all()) one->on_vanished(first, count, why);
  for (Watcher* one : hub.by_user.all()) one->on_vanished(first, count, why);
}

void Feed::forgotten(const core::FinishedJob& job, StreamId newest) {
  Hub& hub = state_->hub;
  if (hub.results.empty()) return;
  const Hub::Turn turn(hub);
  for (ResultStream* const stream : std::vector(hub.results)) {
    if (stream->id() <= newest) stream->on_forgotten(job);
  }
}

void Feed::wait_job(StreamId id, JobId job, std::optional<Duration> timeout, JobCallback done) {
  Hub& hub = state_->hub;
  const Hub::Turn turn(hub);
  if (hub.closing) {
    const Error error = shutting_down();
    return done(nullptr, &error);
  }
  hub.open(std::make_unique<JobWait>(hub, id, job, std::move(done)), timeout);
}

void Feed::wait_drained(StreamId id, core::DrainScope scope, std::optional<Duration> timeout, DrainCallback done) {
  Hub& hub = state_->hub;
  const Hub::Turn turn(hub);
  if (hub.closing) {
    const Error error = shutting_down();
    return done(&error);
  }
  hub.open(std::make_unique<DrainWait>(hub, id, scope, std::move(done)), timeout).look();
}

void Feed::hold(StreamId id, std::optional<Duration> timeout, LeftCallback left) {
  Hub& hub = state_->hub;
  const Hub::Turn turn(hub);
  if (hub.closing) return left(StreamEnd::draining);
  hub.open(std::make_unique<HeldCall>(hub, id, std::move(left)), timeout);
}

void Feed::served(StreamId id) {
  const Hub::Turn turn(state_->hub);
  if (Entry* const entry = state_->hub.find(id)) static_cast<HeldCall*>(entry)->serve();
}

void Feed::jobs_moved() {
  Hub& hub = state_->hub;
  if (hub.drains.empty()) return;
  const Hub::Turn turn(hub);
  for (const StreamId id : std::vector(hub.drains)) {
    if (Entry* const entry = hub.find(id)) static_cast<DrainWait*>(entry)->look();
  }
}

void Feed::drain_ended(std::optional<core::DrainScope> but) {
  Hub& hub = state_->hub;
  const Hub::Turn turn(hub);
  const Error error(ErrorKind::conflict, but ? "the drain that this call waits for was replaced by one of another scope"
                                             : "the drain that this call waits for was ended by daemon.undrain");
  for (const StreamId id : std::vector(hub.drains)) {
    auto* const wait = static_cast<DrainWait*>(hub.find(id));
    if (wait != nullptr && wait->scope() != but) wait->answer(&error);
  }
}

void Feed::wait(StreamId id, WaitOptions options, std::function<void(std::optional<Error>, WaitResult)> done) {
  Hub& hub = state_->hub;
  const Hub::Turn turn(hub);
  if (hub.closing) return done(shutting_down(), {});
  hub.open(std::make_unique<WaitCall>(hub, id, std::move(options), std::move(done)), std::nullopt).begin(next_id());
}

void Feed::results(StreamId id, ResultsOptions options, Sink& sink, std::function<void(std::optional<Error>)> opened) {
  Hub& hub = state_->hub;
  const Hub::Turn turn(hub);
  if (hub.closing) return opened(shutting_down());
  const auto timeout = options.timeout;
  std::unique_ptr<ResultStream> stream;
  if (options.selection.ids || options.order == Order::submission) {
    stream = std::make_unique<ReadyStream>(hub, id, std::move(options), sink, std::move(opened));
  } else {
    stream = std::make_unique<CursorStream>(hub, id, std::move(options), sink, std::move(opened));
  }
  hub.open(std::move(stream), timeout).begin();
}

void Feed::subscribe(StreamId id, SubscribeOptions options, Sink& sink) {
  Hub& hub = state_->hub;
  const Hub::Turn turn(hub);
  if (hub.closing) throw shutting_down();
  auto& subscription = hub.open(
      std::make_unique<Subscription>(hub, id, state_->log, state_->subscriptions, std::move(options), sink), std::nullopt);
  // The answer that names the stream goes first.
  hub.timers.post([&hub, id = subscription.id()] {
    const Hub::Turn later(hub);
    if (Entry* const entry = hub.find(id)) entry->resume();
  });
}

void Feed::resume(StreamId id) {
  const Hub::Turn turn(state_->hub);
  if (Entry* const entry = state_->hub.find(id)) entry->resume();
}

bool Feed::cancel(StreamId id) {
  const Hub::Turn turn(state_->hub);
  Entry* const entry = state_->hub.find(id);
  if (entry == nullptr) return false;
  entry->stop(StreamEnd::cancelled);
  return true;
}

void Feed::refuse(StreamId id, const Error& error) {
  const Hub::Turn turn(state_->hub);
  if (Entry* const entry = state_->hub.find(id)) entry->fail(error);
}

void Feed::drop(StreamId id) {
  const Hub::Turn turn(state_->hub);
  if (Entry* const entry = state_->hub.find(id)) state_->hub.retire(*entry);
}

void Feed::close() {
  Hub& hub = state_->hub;
  const Hub::Turn turn(hub);
  hub.closing = true;
  std::vector<StreamId> ids;
  for (const auto& [id, entry] : hub.entries) ids.push_back(id);
  for (const StreamId id : ids) {
    if (Entry* const entry = hub.find(id)) entry->stop(StreamEnd::draining);
  }
}

std::uint64_t Feed::newest_event() const { return state_->log.newest(); }
bool Feed::awaits(const core::FinishedJob& job) const {
  return std::ranges::any_of(state_->hub.results, [&job](const ResultStream* stream) { return stream->awaits(job); });
}

std::size_t Feed::open_count() const { return state_->hub.entries.size(); }

}  // namespace stint::feed
