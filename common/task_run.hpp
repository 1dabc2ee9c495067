// From a job's argument text to a task's ending: what every place that runs tasks does in the same way.
//
// Arguments are decoded once, results encoded once and held to their bounds, exceptions become a job's error. Runs on
// the thread that runs the task. Nothing is thrown but where it is said: a task's failure is a value here.
#pragma once

#include <exception>
#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <variant>

#include "common/job.hpp"
#include "common/task_api.hpp"

namespace stint {

using TaskEnding = std::variant<EndReport::Returned, EndReport::Failed>;

/// The text of a job's arguments: the item of a template, else `args`, else nothing, which stands for null.
[[nodiscard]] std::string_view task_args_text(const JobSpec& spec, const json::Raw* item);
/// Throws TaskError `invalid_args` where the text is not JSON.
[[nodiscard]] nlohmann::json decode_task_args(std::string_view text);

/// Failures: `result_too_large` (limits::result_bytes_max), `result_too_deep` (limits::depth_levels_max).
[[nodiscard]] TaskEnding task_returned(const nlohmann::json& result);
/// A TaskError keeps its kind; a cancelled await is `stopped`; everything else is `exception`. Texts are cut to
/// limits::task_error_bytes_max and made UTF-8.
[[nodiscard]] TaskEnding task_threw(const std::exception_ptr& thrown);
[[nodiscard]] TaskEnding task_failed(std::string_view kind, std::string_view message);

/// Runs the blocking form from text to ending.
[[nodiscard]] TaskEnding run_blocking_task(const Task& task, const TaskContext& context, std::string_view args_text);

}  // namespace stint
