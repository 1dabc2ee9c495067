// The columns in which jobs and results are shown, and how times and sizes read in them.
//
// Part of client/render.hpp. Text is for people and rounds; values in a pipe are what the record says.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/time_units.hpp"

namespace stint::cli {
namespace {

std::string whole(double value, const char* unit) { return std::to_string(std::llround(std::floor(value))) + unit; }

double real_at(const nlohmann::json& record, std::string_view path) {
  const nlohmann::json& value = field_at(record, path);
  return value.is_number() ? value.get<double>() : -1;
}

std::string id(const nlohmann::json& record) { return text_at(record, "id"); }
std::string name(const nlohmann::json& record) { return text_at(record, "name"); }
std::string executor(const nlohmann::json& record) { return text_at(record, "executor"); }
std::string item(const nlohmann::json& record) { return text_at(record, "item"); }
std::string duration_value(const nlohmann::json& record) { return text_at(record, "duration"); }
std::string submitted_value(const nlohmann::json& record) { return text_at(record, "submitted_at"); }

std::string code(const nlohmann::json& record) {
  return field_at(record, "outcome").is_null() ? std::string() : std::to_string(exit_code_of(record));
}
std::string duration(const nlohmann::json& record) {
  const double seconds = real_at(record, "duration");
  return seconds < 0 ? std::string() : duration_text(seconds);
}
std::string age(const nlohmann::json& record) {
  const double submitted = real_at(record, "submitted_at");
  return submitted < 0 ? std::string() : age_text(submitted);
}
/// A shell text is the same for all items of a map.
std::string work_and_item(const nlohmann::json& record) {
  const std::string of_item = item(record);
  const bool shown = of_item.empty() || field_at(record, "shell").is_null();
  return shown ? work_of(record) : work_of(record) + "  # " + of_item;
}
/// What distinguishes the job: its item, else what it runs.
std::string work(const nlohmann::json& record) {
  const std::string of_item = item(record);
  const nlohmann::json& result = field_at(record, "result");
  const std::string text = of_item.empty() ? work_of(record) : of_item;
  return result.is_null() ? text : text + " = " + text_at(record, "result");
}

constexpr std::array job_table{
    Column{"ID", id, nullptr, 6, true},
    Column{"STATUS", status_of, nullptr, 9, false, true},
    Column{"CODE", code, nullptr, 4, true},
    Column{"AGE", age, submitted_value, 4, true},
    Column{"TIME", duration, duration_value, 6, true},
    Column{"ON", executor, nullptr, 9},
    Column{"NAME", name, nullptr, 8},
    Column{"WORK", work_and_item, nullptr, 0},
};

constexpr std::array result_table{
    Column{"ID", id, nullptr, 6, true},     Column{"STATUS", status_of, nullptr, 9, false, true},
    Column{"CODE", code, nullptr, 4, true}, Column{"TIME", duration, duration_value, 7, true},
    Column{"NAME", name, nullptr, 8},       Column{"WORK", work, nullptr, 0},
};

}  // namespace

std::string duration_text(double seconds) {
  std::array<char, 32> text{};
  if (seconds < 1) return whole(seconds * 1000, "ms");
  if (seconds < minute) {
    std::snprintf(text.data(), text.size(), "%.1fs", seconds);
    return text.data();
  }
  if (seconds < hour) return whole(seconds / minute, "m") + whole(std::fmod(seconds, minute), "s");
  if (seconds < day) return whole(seconds / hour, "h") + whole(std::fmod(seconds, hour) / minute, "m");
  return whole(seconds / day, "d") + whole(std::fmod(seconds, day) / hour, "h");
}

std::string age_text(double since_epoch) {
  const double seconds = std::max(0.0, to_seconds(wall_now().time_since_epoch()) - since_epoch);
  if (seconds < minute) return whole(seconds, "s");
  if (seconds < hour) return whole(seconds / minute, "m");
  if (seconds < day) return whole(seconds / hour, "h");
  return whole(seconds / day, "d");
}

std::string clock_text(double since_epoch) {
  const auto seconds = static_cast<std::time_t>(since_epoch);
  std::tm local{};
  if (::localtime_r(&seconds, &local) == nullptr) return std::to_string(since_epoch);
  std::array<char, 32> text{};
  const auto length = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local);
  return {text.data(), length};
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr double kibi = 1024;
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= kibi && unit + 1 < units.size()) {
    value /= kibi;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text.data();
}

std::span<const Column> job_columns() { return job_table; }
std::span<const Column> result_columns() { return result_table; }

}  // namespace stint::cli
