// Errors as every client sees them: a stable kind, one sentence for a person, and data that names what was wrong.
//
// Decoding throws Error, functions that may fail return or throw it; nothing in common/ logs. The kinds and codes
// are fixed by the protocol (docs/protocol.md, "Errors"): a kind is never renamed and never changes its code.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stint {

enum class ErrorKind : std::uint8_t {
  parse_error,
  invalid_request,
  method_not_found,
  invalid_params,
  internal_error,
  not_found,
  permission_denied,
  conflict,
  limit_exceeded,
  timed_out,
  draining,
  unavailable,
  purged,
};

/// The JSON-RPC error code of a kind (-32700 … -32007).
[[nodiscard]] int error_code(ErrorKind kind) noexcept;
/// The kind as it stands in `data.kind`.
[[nodiscard]] std::string_view error_name(ErrorKind kind) noexcept;
/// True where the same call may succeed later without being changed (`data.retryable`).
[[nodiscard]] bool error_retryable(ErrorKind kind) noexcept;

/// One error. Optional members become members of `data` where they are set.
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

  std::optional<std::string> field;     ///< path of the offending field, for example `job.timeout`
  std::optional<std::string> expected;  ///< what would have been right
  std::optional<std::string> nearest;   ///< the nearest known name
  std::optional<std::string> reason;    ///< why something is unavailable
  std::optional<std::string> limit;     ///< name of the bound that was passed
  std::optional<std::uint64_t> value;   ///< its value
  std::optional<std::string> setting;   ///< the configuration key that changes it
  std::optional<std::string> incident;  ///< what to look for in the log (internal_error)
  std::vector<std::string> circle;      ///< who waits for what, in turns (conflict)
  std::optional<std::uint64_t> offset;  ///< byte offset in the line (parse_error)

 private:
  ErrorKind kind_;
  std::string message_;
};

/// `invalid_params`: `field` is the path, `expected` what would be right; the message is made from both.
[[nodiscard]] Error invalid_params(std::string field, std::string expected);
/// `unavailable` with its reason.
[[nodiscard]] Error unavailable(std::string message, std::string reason);
/// `draining`, to a call that waits while the daemon goes.
[[nodiscard]] Error shutting_down();
/// `limit_exceeded`: bound `limit` is `value`; `setting` is the key that changes it, empty where none does.
[[nodiscard]] Error limit_exceeded(std::string message, std::string limit, std::uint64_t value, std::string setting = {});

}  // namespace stint
