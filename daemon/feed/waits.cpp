#include "daemon/feed/waits.hpp"

#include "daemon/feed/cursor_stream.hpp"
#include "daemon/feed/ready_stream.hpp"

namespace stint::feed {

void JobWait::answer(const core::FinishedPtr& job, const Error* error) {
  if (dead()) return;
  hub_.retire(*this);
  done_(job, error);
}

void JobWait::stop(StreamEnd reason) {
  if (reason == StreamEnd::timed_out) return answer(nullptr, nullptr);
  const Error error = shutting_down();
  answer(nullptr, &error);
}

void DrainWait::look() {
  if (core::drain_pending(hub_.scheduler.counts(), scope_) == 0) answer(nullptr);
}

void DrainWait::answer(const Error* error) {
  if (dead()) return;
  hub_.retire(*this);
  done_(error);
}

void DrainWait::stop(StreamEnd reason) {
  if (reason == StreamEnd::timed_out) return answer(nullptr);
  const Error error = shutting_down();
  answer(&error);
}

WaitCall::WaitCall(Hub& hub, StreamId id, WaitOptions options, Done done)
    : Entry(hub, id), options_(std::move(options)), done_(std::move(done)) {
  if (options_.selection.ids) left_.insert(options_.selection.ids->begin(), options_.selection.ids->end());
}

void WaitCall::begin(StreamId stream) {
  stream_ = stream;
  const auto opened = [&hub = hub_, id = id()](const std::optional<Error>& error) {
    if (!error) return;
    if (auto* const self = static_cast<WaitCall*>(hub.find(id))) self->answer(error);
  };
  ResultsOptions wanted{options_.selection, 0, Order::completion, {}, options_.timeout};
  std::unique_ptr<ResultStream> source;
  if (options_.selection.ids) {
    source = std::make_unique<ReadyStream>(hub_, stream_, std::move(wanted), *this, opened);
  } else {
    source = std::make_unique<CursorStream>(hub_, stream_, std::move(wanted), *this, opened);
  }
  hub_.open(std::move(source), options_.timeout).begin();
}

void WaitCall::unwatch() {
  if (Entry* const source = hub_.find(stream_)) hub_.retire(*source);
}

void WaitCall::stop(StreamEnd reason) {
  if (reason == StreamEnd::draining) return answer(shutting_down());
  if (reason == StreamEnd::timed_out) answer(std::nullopt);
}

void WaitCall::result(StreamId, const core::FinishedJob& job, const RecordPart&) {
  if (dead()) return;
  left_.erase(job.id);
  if (options_.until == Until::first) satisfied_ = true;
  if (options_.until == Until::first_failure && job.outcome != Outcome::succeeded) satisfied_ = true;
  if (too_large_) return;
  if (finished_.size() + job.record.size() + 1 > limits::answer_bytes_max) {
    too_large_ = true;
    finished_.clear();
    finished_.shrink_to_fit();
    return;
  }
  if (finished_.size() > 1) finished_ += ',';
  finished_ += job.record;
}

void WaitCall::caught_up(StreamId) {
  if (satisfied_) answer(std::nullopt);
}

void WaitCall::end(StreamId, StreamEnd reason, const Error* error) {
  if (error != nullptr) return answer(*error);
  if (reason == StreamEnd::draining) return answer(shutting_down());
  answer(std::nullopt);
}

void WaitCall::answer(const std::optional<Error>& error) {
  if (dead()) return;
  hub_.retire(*this);
  if (error) return done_(error, {});
  if (too_large_) {
    return done_(limit_exceeded("the records of the finished jobs do not fit into one answer: use job.results",
                                "answer_bytes_max", limits::answer_bytes_max),
                 {});
  }
  WaitResult result;
  result.finished = std::move(finished_);
  result.finished += ']';
  result.pending.assign(left_.begin(), left_.end());
  if (options_.selection.group) {
    hub_.scheduler.each_of_group(*options_.selection.group, [&result](const core::Job& job) {
      result.pending.push_back(job.id);
      return true;
    });
  }
  done_(std::nullopt, std::move(result));
}

}  // namespace stint::feed
