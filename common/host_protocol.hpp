// The frames between the daemon and a host process: one task at a time goes out, one ending comes back.
//
// One frame is one message of a SOCK_SEQPACKET socket (common/fd_message). It opens with the version, so that a worker
// of another release is noticed at once. Payloads from limits::shared_payload_bytes_min on do not travel in the frame
// but as a sealed memory file on it (common/shared_payload). Nothing that is decoded is trusted: `decode` gives nothing
// for bytes that are not exactly one frame. Values only; throws nothing but bad_alloc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/job.hpp"
#include "common/limits.hpp"
#include "common/plugin_file.hpp"

namespace stint::host_protocol {

inline constexpr std::uint8_t version = 2;

/// JSON text: in the frame, beside it as a sealed memory file, or none.
struct Payload {
  enum class Kind : std::uint8_t { none, inlined, shared } kind = Kind::none;
  std::string text;              ///< inlined
  std::uint64_t size_bytes = 0;  ///< shared
  bool operator==(const Payload&) const = default;
};

/// Daemon to host: run this task.
struct Run {
  JobId job = 0;
  Attempt attempt = 0;
  std::optional<Time> deadline;
  std::string task;
  std::optional<PluginFile> plugin;  ///< that the task comes from; a built-in one has none
  Payload args;
  bool operator==(const Run&) const = default;
};
/// Daemon to host: set the stop token of that run.
struct Stop {
  JobId job = 0;
  Attempt attempt = 0;
  bool operator==(const Stop&) const = default;
};
/// Host to daemon.
struct Progress {
  JobId job = 0;
  Attempt attempt = 0;
  double value = 0;
  std::string text;
  bool operator==(const Progress&) const = default;
};
struct Returned {
  JobId job = 0;
  Attempt attempt = 0;
  Payload result;
  bool operator==(const Returned&) const = default;
};
struct Failed {
  JobId job = 0;
  Attempt attempt = 0;
  JobError error;
  bool operator==(const Failed&) const = default;
};

using Frame = std::variant<Run, Stop, Progress, Returned, Failed>;

/// The longest frame: an inlined payload and what stands around it.
inline constexpr std::size_t frame_bytes_max =
    limits::shared_payload_bytes_min + limits::task_error_bytes_max + limits::name_bytes_max + 2 * limits::path_bytes_max + 256;

[[nodiscard]] std::string encode(const Frame& frame);
[[nodiscard]] std::optional<Frame> decode(std::string_view bytes);

}  // namespace stint::host_protocol
