// How the CLI fails: the exit codes that scripts rely on, and exceptions that carry one.
//
// Values only. Failure is for people: `main` prints it and exits with its code. RpcError is what a daemon refused.
// ConnectionLost is caught where a verb can resume. Nothing here prints.
#pragma once

#include <exception>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace stint::cli {

/// 0 … 123 and 128+n are the job's own.
namespace exit_code {
inline constexpr int success = 0;
inline constexpr int some_failed = 1;     ///< of several jobs, or a call that the daemon refused
inline constexpr int usage = 64;          ///< wrong usage
inline constexpr int bad_job = 65;        ///< bad job specification
inline constexpr int no_such_job = 66;    ///< not found, or its retention has ended
inline constexpr int no_daemon = 69;      ///< no daemon can be reached
inline constexpr int try_again = 75;      ///< queue full, draining, the waiting timed out
inline constexpr int not_allowed = 77;    ///< permission denied
inline constexpr int bad_config = 78;     ///< bad configuration
inline constexpr int timed_out = 124;     ///< the job's timeout ran out
inline constexpr int not_finished = 125;  ///< cancelled, expired, skipped, lost, or stint failed after submission
inline constexpr int signalled = 128;     ///< plus the signal's number
}  // namespace exit_code

/// A sentence for a person (without "stint: ") and the code to exit with.
class Failure : public std::exception {
 public:
  Failure(int code, std::string message) : code_(code), message_(std::move(message)) {}
  [[nodiscard]] int code() const noexcept { return code_; }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  int code_;
  std::string message_;
};

/// Wrong usage: exits with 64, and `main` adds how to get help.
class UsageError : public Failure {
 public:
  explicit UsageError(std::string message) : Failure(exit_code::usage, std::move(message)) {}
};

/// The `error` of an answer.
class RpcError : public Failure {
 public:
  explicit RpcError(nlohmann::json error);
  [[nodiscard]] std::string_view kind() const noexcept { return kind_; }
  /// The whole `error` object.
  [[nodiscard]] const nlohmann::json& json() const noexcept { return json_; }

 private:
  nlohmann::json json_;
  std::string kind_;
};

/// The daemon closed the connection, or it broke.
class ConnectionLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace stint::cli
