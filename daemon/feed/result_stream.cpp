#include "daemon/feed/result_stream.hpp"

namespace stint::feed {

void ResultStream::begin() {
  hub_.results.push_back(this);
  const auto& group = options_.selection.group;
  if (!group) {
    if (!options_.selection.ids) hub_.by_user.add(options_.selection.uid, this);
    return prepare();
  }
  hub_.by_group.add(*group, this);
  if (hub_.scheduler.unfinished_in_group(*group) > 0) return prepare();
  hub_.store.knows_group(*group, guarded<ResultStream>([](ResultStream& self, bool known) {
    const std::string& label = *self.options_.selection.group;
    if (known || self.hub_.scheduler.unfinished_in_group(label) > 0) return self.prepare();
    Error error(ErrorKind::not_found, "no job has, or had, the group '" + label + "'");
    error.field = "group";
    self.refuse(error);
  }));
}

void ResultStream::unwatch() {
  std::erase(hub_.results, this);
  if (options_.selection.group) {
    hub_.by_group.remove(*options_.selection.group, this);
  } else if (!options_.selection.ids) {
    hub_.by_user.remove(options_.selection.uid, this);
  }
}

void ResultStream::now_open() {
  open_ = true;
  if (opened_) std::exchange(opened_, nullptr)(std::nullopt);
  if (!dead()) pump();
}

void ResultStream::refuse(const Error& error) {
  const auto opened = std::exchange(opened_, nullptr);
  hub_.retire(*this);
  if (opened) opened(error);
}

void ResultStream::finish(StreamEnd reason, const Error* error) {
  if (dead()) return;
  hub_.retire(*this);
  sink_.end(id(), reason, error);
}

void ResultStream::finish_forgotten(JobId id) {
  Error error = db::missing_job(id, db::Presence::purged);
  error.field.reset();
  if (opened_) return refuse(error);
  finish(StreamEnd::error, &error);
}

void ResultStream::stop(StreamEnd reason) {
  // A timeout of zero is a question for what is there now: it is answered first.
  if (reason == StreamEnd::timed_out && !caught_up_ && !sink_.full()) {
    expired_ = true;
    return;
  }
  if (opened_) std::exchange(opened_, nullptr)(std::nullopt);
  finish(reason);
}

void ResultStream::settle() {
  if (dead() || !open_ || !drained()) return;
  caught_up_ = true;
  sink_.caught_up(id());
  if (dead()) return;
  if (complete()) {
    finish(StreamEnd::complete);
  } else if (expired_) {
    finish(StreamEnd::timed_out);
  }
}

bool ResultStream::complete() {
  if (options_.selection.ids) return ids_done();
  return options_.selection.group && group_done();
}

bool ResultStream::group_done() {
  if (hub_.scheduler.unfinished_in_group(*options_.selection.group) > 0) {
    set_ending(false);
    return false;
  }
  if (!ending_) target_ = hub_.scheduler.last_seq();
  if (hub_.announced >= target_) return true;
  set_ending(true);
  return false;
}

void ResultStream::set_ending(bool ending) {
  if (ending_ == ending) return;
  ending_ = ending;
  if (ending) {
    hub_.ending.push_back(this);
  } else {
    std::erase(hub_.ending, this);
  }
}

void ResultStream::on_vanished(JobId first, std::uint64_t count, const Error& why) {
  if (options_.selection.ids) {
    if (opened_) return refuse(why);
    return finish(StreamEnd::error, &why);
  }
  forget_vanished(first, count);
  if (!open_) return;
  pump();
  if (dead() || !ending_) return settle();
  // A number in the completion order may have vanished too and never be announced: ask the store what is left.
  hub_.store.results({options_.selection.group, std::nullopt, hub_.announced, 1},
                     guarded<ResultStream>([](ResultStream& self, const std::vector<core::FinishedPtr>& page) {
                       if (page.empty() && self.ending_) self.target_ = self.hub_.announced;
                       self.settle();
                     }));
}

}  // namespace stint::feed
