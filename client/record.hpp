// Reading a job's record: its exit code for scripts, and its words for people.
//
// Answers are open: a missing or strange field reads as empty, never as an error. Pure functions; nothing is thrown.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace stint::cli {

/// The field at a dotted path ("stdout.bytes"), or null.
[[nodiscard]] const nlohmann::json& field_at(const nlohmann::json& record, std::string_view path);
/// The same as text: a string's characters, nothing for null, anything else as JSON.
[[nodiscard]] std::string text_at(const nlohmann::json& record, std::string_view path);
[[nodiscard]] std::uint64_t number_at(const nlohmann::json& record, std::string_view path);

/// What `run` and `wait` exit with for this record, finished or not.
[[nodiscard]] int exit_code_of(const nlohmann::json& record);
/// One clause: "succeeded", "exit code 3", "died of SIGKILL", "timed out", "failed: no such file (not_found)".
[[nodiscard]] std::string ending_of(const nlohmann::json& record);
/// What it runs, in one line: the command, the shell text, or the task with its arguments.
[[nodiscard]] std::string work_of(const nlohmann::json& record);
/// The outcome of a finished job, the phase of a running one where it is not "running", else the state.
[[nodiscard]] std::string status_of(const nlohmann::json& record);

/// "a b" with quotes where a shell would need them.
[[nodiscard]] std::string shell_words(const nlohmann::json& command);

}  // namespace stint::cli
