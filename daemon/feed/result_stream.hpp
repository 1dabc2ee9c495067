// What both kinds of result stream have in common: opening, handing over, and knowing when nothing more can come.
//
// Inside feed/ only. A stream is complete when all its members have been handed over: for ids when each has, for a group
// when it has no unfinished member and everything that had finished by then has been announced; without either never.
#pragma once

#include <functional>
#include <optional>

#include "daemon/feed/feed.hpp"
#include "daemon/feed/hub.hpp"

namespace stint::feed {

using Opened = std::function<void(std::optional<Error>)>;

class ResultStream : public Entry {
 public:
  ResultStream(Hub& hub, StreamId id, ResultsOptions options, Sink& sink, Opened opened)
      : Entry(hub, id), options_(std::move(options)), sink_(sink), opened_(std::move(opened)) {}

  /// Looks whether it exists and begins; the first call after Hub::open.
  void begin();
  void stop(StreamEnd reason) final;
  void unwatch() override;
  void on_vanished(JobId first, std::uint64_t count, const Error& why) override;
  /// The record of this job is being dropped.
  virtual void on_forgotten(const core::FinishedJob& /*job*/) {}
  /// It has this finished job still to hand over, and will ask the store for it.
  [[nodiscard]] virtual bool awaits(const core::FinishedJob& job) const = 0;

  /// Tells of the end where there is nothing left to come; called after whatever may have changed that.
  void settle();

 protected:
  /// Finds out what it has to hand over, then calls `now_open` (or `refuse`).
  virtual void prepare() = 0;
  /// Everything that was announced has been handed over.
  [[nodiscard]] virtual bool drained() const = 0;
  /// All ids that were asked for have finished.
  [[nodiscard]] virtual bool ids_done() const { return false; }
  /// Hands over what is there.
  virtual void pump() = 0;
  virtual void forget_vanished(JobId /*first*/, std::uint64_t /*count*/) {}

  void now_open();
  void refuse(const Error& error);
  void emit(const core::FinishedJob& job) { sink_.result(id(), job, options_.part); }
  void finish(StreamEnd reason, const Error* error = nullptr);
  /// Ends it: the record of this job was dropped before it was handed over.
  void finish_forgotten(JobId id);

  /// Looks itself up again in a callback of the store: nothing where it has ended meanwhile.
  template <class T, class F>
  [[nodiscard]] auto guarded(F function) {
    return [&hub = hub_, id = id(), function](auto&&... values) {
      const Hub::Turn turn(hub);
      if (auto* const self = static_cast<T*>(hub.find(id))) function(*self, std::forward<decltype(values)>(values)...);
    };
  }

  ResultsOptions options_;
  Sink& sink_;
  bool open_ = false;

 private:
  [[nodiscard]] bool complete();
  [[nodiscard]] bool group_done();
  void set_ending(bool ending);

  Opened opened_;
  bool expired_ = false;
  bool caught_up_ = false;
  bool ending_ = false;
  Seq target_ = 0;  // while ending: everything up to here must be announced
};

}  // namespace stint::feed
