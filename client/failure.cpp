#include "client/failure.hpp"

#include <array>

namespace stint::cli {
namespace {

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const nlohmann::json& data_of(const nlohmann::json& error) {
  static const nlohmann::json none = nlohmann::json::object();
  const auto found = error.find("data");
  return found != error.end() && found->is_object() ? *found : none;
}

struct KindCode {
  std::string_view kind;
  int code;
};
constexpr std::array kind_codes{
    KindCode{"invalid_params", exit_code::bad_job},
    KindCode{"parse_error", exit_code::bad_job},
    KindCode{"invalid_request", exit_code::bad_job},
    KindCode{"method_not_found", exit_code::usage},
    KindCode{"not_found", exit_code::no_such_job},
    KindCode{"purged", exit_code::no_such_job},
    KindCode{"permission_denied", exit_code::not_allowed},
    KindCode{"conflict", exit_code::some_failed},
    KindCode{"limit_exceeded", exit_code::try_again},
    KindCode{"timed_out", exit_code::try_again},
    KindCode{"draining", exit_code::try_again},
    KindCode{"unavailable", exit_code::try_again},
};

int code_of(const nlohmann::json& error) {
  const nlohmann::json& data = data_of(error);
  const std::string kind = text_of(data, "kind");
  // The value of a field that will not do now will not do later.
  if ((kind == "unavailable" || kind == "limit_exceeded") && data.contains("field")) return exit_code::bad_job;
  for (const auto& row : kind_codes) {
    if (row.kind == kind) return row.code;
  }
  return exit_code::not_finished;
}

std::string message_of(const nlohmann::json& error) {
  const nlohmann::json& data = data_of(error);
  std::string message = text_of(error, "message");
  if (message.empty()) message = "the daemon refused without a reason";
  const std::string nearest = text_of(data, "nearest");
  if (!nearest.empty() && message.find(nearest) == std::string::npos) message += "; did you mean '" + nearest + "'?";
  const std::string setting = text_of(data, "setting");
  if (!setting.empty() && message.find(setting) == std::string::npos) message += " (setting: " + setting + ")";
  if (const auto circle = data.find("circle"); circle != data.end() && circle->is_array()) {
    std::string told;
    for (const nlohmann::json& each : *circle) {
      if (each.is_string()) told += (told.empty() ? "" : " → ") + each.get<std::string>();
    }
    message += ": " + told;
  }
  const std::string incident = text_of(data, "incident");
  if (!incident.empty()) message += " (look for " + incident + " in the daemon's log)";
  return message;
}

}  // namespace

RpcError::RpcError(nlohmann::json error)
    : Failure(code_of(error), message_of(error)), json_(std::move(error)), kind_(text_of(data_of(json_), "kind")) {}

}  // namespace stint::cli
