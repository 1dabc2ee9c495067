// Where a stream goes: implemented by the conversation that opened it.
//
// The feed calls it on the I/O thread; an implementation only appends to its outbox and never calls back into the feed
// from inside. It stays valid until the stream has ended or Feed::drop was called for it.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/error.hpp"
#include "common/protocol.hpp"
#include "daemon/core/effects.hpp"

namespace stint::feed {

/// Numbers streams and waiting calls; never used twice within one daemon.
using StreamId = std::uint64_t;

/// What a stream carries of each record.
struct RecordPart {
  /// Its `stdout` and `stderr` objects are extended by `data` and `encoding` where the output is kept with the record (at
  /// most limits::output_inline_bytes_max).
  bool output = false;
  std::optional<std::vector<std::string>> fields;  ///< only these, beside `id` and `seq`
};

class Sink {
 public:
  virtual ~Sink() = default;

  /// A finished job, of which append_record writes that part.
  virtual void result(StreamId stream, const core::FinishedJob& job, const RecordPart& part) = 0;
  /// An event, encoded.
  virtual void event(StreamId stream, std::string_view json) = 0;
  /// Nothing follows. `error` is set where the reason is `error`.
  virtual void end(StreamId stream, StreamEnd reason, const Error* error) = 0;
  /// Everything that there is now has been handed over.
  virtual void caught_up(StreamId /*stream*/) {}
  /// True while no more should come; Feed::resume is called once that has changed.
  [[nodiscard]] virtual bool full() const = 0;
};

}  // namespace stint::feed
