#include "common/error.hpp"

#include <array>

namespace stint {
namespace {

struct KindRow {
  ErrorKind kind;
  int code;
  std::string_view name;
  bool retryable;
};

constexpr std::array kind_table{
    KindRow{ErrorKind::parse_error, -32700, "parse_error", false},
    KindRow{ErrorKind::invalid_request, -32600, "invalid_request", false},
    KindRow{ErrorKind::method_not_found, -32601, "method_not_found", false},
    KindRow{ErrorKind::invalid_params, -32602, "invalid_params", false},
    KindRow{ErrorKind::internal_error, -32603, "internal_error", false},
    KindRow{ErrorKind::not_found, -32000, "not_found", false},
    KindRow{ErrorKind::permission_denied, -32001, "permission_denied", false},
    KindRow{ErrorKind::conflict, -32002, "conflict", false},
    KindRow{ErrorKind::limit_exceeded, -32003, "limit_exceeded", true},
    KindRow{ErrorKind::timed_out, -32004, "timed_out", true},
    KindRow{ErrorKind::draining, -32005, "draining", true},
    KindRow{ErrorKind::unavailable, -32006, "unavailable", true},
    KindRow{ErrorKind::purged, -32007, "purged", false},
};

const KindRow& row_of(ErrorKind kind) noexcept { return kind_table.at(static_cast<std::size_t>(kind)); }

}  // namespace

int error_code(ErrorKind kind) noexcept { return row_of(kind).code; }
std::string_view error_name(ErrorKind kind) noexcept { return row_of(kind).name; }
bool error_retryable(ErrorKind kind) noexcept { return row_of(kind).retryable; }

Error invalid_params(std::string field, std::string expected) {
  Error error(ErrorKind::invalid_params, "field '" + field + "': expected " + expected);
  error.field = std::move(field);
  error.expected = std::move(expected);
  return error;
}

Error unavailable(std::string message, std::string reason) {
  Error error(ErrorKind::unavailable, std::move(message));
  error.reason = std::move(reason);
  return error;
}

Error shutting_down() { return {ErrorKind::draining, "the daemon is shutting down"}; }

Error limit_exceeded(std::string message, std::string limit, std::uint64_t value, std::string setting) {
  Error error(ErrorKind::limit_exceeded, std::move(message));
  error.limit = std::move(limit);
  error.value = value;
  if (!setting.empty()) error.setting = std::move(setting);
  return error;
}

}  // namespace stint
