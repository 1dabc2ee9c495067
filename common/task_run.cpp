#include "common/task_run.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <new>
#include <nlohmann/json.hpp>

#include "common/limits.hpp"

namespace stint {
namespace {

bool deeper_than(const nlohmann::json& value, std::size_t levels) {
  if (!value.is_structured()) return false;
  if (levels == 0) return true;
  return std::any_of(value.begin(), value.end(), [levels](const auto& child) { return deeper_than(child, levels - 1); });
}

std::string cut_text(std::string_view text, std::size_t bytes_max) {
  std::string whole = json::to_utf8(text);
  if (whole.size() <= bytes_max) return whole;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(whole[end]) & 0xC0U) == 0x80U) --end;
  whole.resize(end);
  return whole;
}

}  // namespace

std::string_view task_args_text(const JobSpec& spec, const json::Raw* item) {
  if (item != nullptr) return item->text;
  return spec.args ? std::string_view(spec.args->text) : std::string_view{};
}

nlohmann::json decode_task_args(std::string_view text) {
  if (text.empty() || text == "null") return nullptr;
  auto value = nlohmann::json::parse(text, nullptr, false);
  if (value.is_discarded()) throw TaskError("invalid_args", "the arguments are not JSON");
  return value;
}

TaskEnding task_returned(const nlohmann::json& result) {
  if (deeper_than(result, limits::depth_levels_max)) {
    return task_failed("result_too_deep",
                       "the result is nested more than " + std::to_string(limits::depth_levels_max) + " levels deep");
  }
  json::Raw raw = json::from_nlohmann(result);
  if (raw.text.size() > limits::result_bytes_max) {
    return task_failed("result_too_large", "the result has " + std::to_string(raw.text.size()) + " bytes; at most " +
                                               std::to_string(limits::result_bytes_max) + " are kept");
  }
  return EndReport::Returned{std::move(raw)};
}

TaskEnding task_threw(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const TaskError& error) {
    return task_failed(error.kind(), error.what());
  } catch (const boost::system::system_error& error) {
    if (error.code() == boost::asio::error::operation_aborted) return task_failed("stopped", "the task was stopped");
    return task_failed("exception", error.what());
  } catch (const std::bad_alloc&) {
    return task_failed("exception", "the task ran out of memory");
  } catch (const std::exception& error) {
    return task_failed("exception", error.what());
  } catch (...) {
    return task_failed("exception", "the task threw something that is no std::exception");
  }
}

TaskEnding task_failed(std::string_view kind, std::string_view message) {
  return EndReport::Failed{JobError{cut_text(kind, limits::name_bytes_max), cut_text(message, limits::task_error_bytes_max)}, {}};
}

TaskEnding run_blocking_task(const Task& task, const TaskContext& context, std::string_view args_text) {
  try {
    const nlohmann::json args = decode_task_args(args_text);
    return task_returned(task.blocking(context, args));
  } catch (...) {
    return task_threw(std::current_exception());
  }
}

}  // namespace stint
