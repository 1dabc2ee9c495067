#include "common/json_map.hpp"

#include <charconv>
#include <cmath>

namespace stint::json {

std::string Path::text() const {
  std::string before = parent == nullptr ? std::string() : parent->text();
  if (is_index) return before + "[" + std::to_string(index) + "]";
  if (key.empty()) return before;
  if (!before.empty()) before += '.';
  return before + std::string(key);
}

void refuse(const Path& path, std::string expected) { throw invalid_params(path.text(), std::move(expected)); }

namespace detail {
namespace {

std::string number_text(double value) {
  if (std::abs(value) < 1e15 && value == std::floor(value)) return std::to_string(static_cast<std::int64_t>(value));
  std::array<char, 32> digits;
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return {digits.data(), result.ptr};
}

}  // namespace

std::string range_text(Range range, std::string_view what) {
  const std::string unit = what.empty() ? std::string() : " " + std::string(what);
  if (std::isinf(range.max)) return "at least " + number_text(range.min) + unit;
  if (std::isinf(range.min)) return "at most " + number_text(range.max) + unit;
  return number_text(range.min) + " to " + number_text(range.max) + unit;
}

std::string name_list(std::span<const std::string_view> names) {
  std::string out;
  for (std::string_view name : names) {
    if (!out.empty()) out += ", ";
    out += '"';
    out += name;
    out += '"';
  }
  return out;
}

void describe_range(nlohmann::json& schema, Range range, std::string_view minimum, std::string_view maximum) {
  const auto put = [&schema](std::string_view key, double value) {
    if (std::isinf(value)) return;
    if (value == std::floor(value) && std::abs(value) <= static_cast<double>(limits::id_max)) {
      schema[std::string(key)] = static_cast<std::int64_t>(value);
    } else {
      schema[std::string(key)] = value;
    }
  };
  put(minimum, range.min);
  put(maximum, range.max);
}

std::int64_t read_integer(Value value, const Path& path, Range range) {
  std::int64_t out = 0;
  // The range lies within ±2^53, so whatever does not fit into an int64_t is out of it, and doubles compare exactly.
  if (value.get(out) != simdjson::SUCCESS || static_cast<double>(out) < range.min || static_cast<double>(out) > range.max) {
    refuse(path, "an integer, " + range_text(range, "") + " (no fraction, no exponent)");
  }
  return out;
}

double read_number(Value value, const Path& path, Range range, std::string_view what) {
  double out = 0;
  if (value.get(out) != simdjson::SUCCESS || !(out >= range.min && out <= range.max)) {
    const bool bounded = !std::isinf(range.min) || !std::isinf(range.max);
    refuse(path, "a " + std::string(what) + (bounded ? ", " + range_text(range, "") : ""));
  }
  return out;
}

std::string_view read_string(Value value, const Path& path, Range range) {
  std::string_view out;
  if (value.get(out) != simdjson::SUCCESS) refuse(path, "a string");
  const auto bytes = static_cast<double>(out.size());
  if (bytes < range.min || bytes > range.max) refuse(path, "a string of " + range_text(range, "bytes"));
  if (out.find('\0') != std::string_view::npos) refuse(path, "a string without NUL bytes");
  return out;
}

void refuse_unknown(const Path& path, std::span<const std::string_view> known) {
  Error error = invalid_params(path.text(), "a known field");
  error.nearest = nearest_name(path.key, known);
  std::string message = "unknown field '" + path.text() + "'";
  if (error.nearest) message += "; did you mean '" + *error.nearest + "'?";
  Error named(ErrorKind::invalid_params, std::move(message));
  named.field = std::move(error.field);
  named.expected = "one of " + name_list(known);
  named.nearest = std::move(error.nearest);
  throw named;
}

void refuse_later(const Path& path) {
  Error error = unavailable("field '" + path.text() + "' is part of the protocol but not served by this version",
                            "not served by this version");
  error.field = path.text();
  throw error;
}

void refuse_missing(const Path& path) {
  Error error(ErrorKind::invalid_params, "field '" + path.text() + "' is missing");
  error.field = path.text();
  error.expected = "this field";
  throw error;
}

}  // namespace detail
}  // namespace stint::json
