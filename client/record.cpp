#include "client/record.hpp"

#include "client/failure.hpp"
#include "common/protocol.hpp"

namespace stint::cli {
namespace {

const nlohmann::json nothing;

std::string quoted(const std::string& word) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:=+@%{}^";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string dumped(const nlohmann::json& value) { return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

}  // namespace

const nlohmann::json& field_at(const nlohmann::json& record, std::string_view path) {
  const nlohmann::json* at = &record;
  while (true) {
    if (!at->is_object()) return nothing;
    const auto dot = path.find('.');
    const auto found = at->find(std::string(path.substr(0, dot)));
    if (found == at->end()) return nothing;
    at = &*found;
    if (dot == std::string_view::npos) return *at;
    path.remove_prefix(dot + 1);
  }
}

std::string text_at(const nlohmann::json& record, std::string_view path) {
  const nlohmann::json& value = field_at(record, path);
  if (value.is_null()) return {};
  return value.is_string() ? value.get<std::string>() : dumped(value);
}

std::uint64_t number_at(const nlohmann::json& record, std::string_view path) {
  const nlohmann::json& value = field_at(record, path);
  return value.is_number_unsigned() ? value.get<std::uint64_t>() : 0;
}

int exit_code_of(const nlohmann::json& record) {
  const std::string outcome = text_at(record, "outcome");
  if (outcome == "succeeded") return exit_code::success;
  if (outcome == "timed_out") return exit_code::timed_out;
  if (outcome != "failed") return exit_code::not_finished;
  if (const nlohmann::json& signal = field_at(record, "signal"); signal.is_number_integer())
    return exit_code::signalled + signal.get<int>();
  if (const nlohmann::json& code = field_at(record, "exit_code"); code.is_number_integer()) return code.get<int>();
  return exit_code::some_failed;
}

std::string ending_of(const nlohmann::json& record) {
  const std::string outcome = text_at(record, "outcome");
  std::string text = outcome.empty() ? text_at(record, "state") : outcome;
  if (outcome == "timed_out") text = "timed out";
  if (outcome == "failed") {
    if (const nlohmann::json& signal = field_at(record, "signal"); signal.is_number_integer()) {
      text = "died of " + protocol::signal_name(signal.get<int>());
    } else if (const nlohmann::json& code = field_at(record, "exit_code"); code.is_number_integer()) {
      text = "exit code " + std::to_string(code.get<int>());
    }
  }
  const std::string message = text_at(record, "error.message");
  if (message.empty()) return text;
  const std::string kind = text_at(record, "error.kind");
  if (kind == "spawn") return "could not be started: " + message;
  return text + ": " + message + (kind.empty() || kind == outcome ? "" : " (" + kind + ")");
}

std::string shell_words(const nlohmann::json& command) {
  std::string out;
  if (!command.is_array()) return out;
  for (const auto& element : command) {
    if (!out.empty()) out += ' ';
    out += quoted(element.is_string() ? element.get<std::string>() : dumped(element));
  }
  return out;
}

std::string work_of(const nlohmann::json& record) {
  if (const nlohmann::json& command = field_at(record, "command"); command.is_array()) return shell_words(command);
  if (const nlohmann::json& shell = field_at(record, "shell"); shell.is_string()) return shell.get<std::string>();
  const std::string arguments = text_at(record, "args");
  return text_at(record, "task") + (arguments.empty() ? "" : " " + arguments);
}

std::string status_of(const nlohmann::json& record) {
  std::string outcome = text_at(record, "outcome");
  if (!outcome.empty()) return outcome;
  const std::string phase = text_at(record, "phase");
  return phase.empty() ? text_at(record, "state") : phase;
}

}  // namespace stint::cli
