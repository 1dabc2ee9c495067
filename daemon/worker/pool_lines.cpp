#include "daemon/worker/pool_lines.hpp"

#include <algorithm>

#include "common/error.hpp"
#include "common/limits.hpp"

namespace stint::worker {
namespace {

constexpr std::size_t shown_bytes_max = 80;

/// `text` cut to `bytes`, not in the middle of a character.
std::string cut(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0U) == 0x80U) --bytes;
  return std::string(text.substr(0, bytes));
}

/// The beginning of what was read, as one line of text.
std::string shown(std::string_view line) {
  std::string text = json::to_utf8(cut(line, shown_bytes_max));
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return "'" + text + (line.size() > shown_bytes_max ? "…'" : "'");
}

std::string_view text_of(simdjson::dom::object object, const char* key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? text : std::string_view();
}

WorkerLine read_progress(json::Value value, simdjson::dom::object line) {
  double number = 0;
  if (value.get(number) != simdjson::SUCCESS || !(number >= 0 && number <= 1)) {
    return BadLine{"reported a progress that is no number from 0 to 1"};
  }
  return WorkerProgress{number, cut(text_of(line, "text"), limits::progress_text_bytes_max)};
}

WorkerLine read_failure(json::Value value) {
  simdjson::dom::object error;
  std::string_view message;
  if (value.get(error) != simdjson::SUCCESS || error["message"].get(message) != simdjson::SUCCESS) {
    return BadLine{"answered an error without a 'message'"};
  }
  PoolFailure failure;
  failure.message = cut(message, limits::task_error_bytes_max);
  failure.kind = cut(text_of(error, "kind"), limits::name_bytes_max);
  if (failure.kind.empty()) failure.kind = "failed";
  json::Value data;
  if (error["data"].get(data) == simdjson::SUCCESS) failure.data = json::raw_of(data).text;
  return failure;
}

WorkerLine read_object(simdjson::dom::object line, JobId id) {
  std::uint64_t answered = 0;
  if (line["id"].get(answered) != simdjson::SUCCESS) return BadLine{"answered without an 'id'"};
  if (answered != id) return BadLine{"answered message " + std::to_string(answered) + " when it was asked " + std::to_string(id)};
  json::Value value;
  const bool has_error = line["error"].get(value) == simdjson::SUCCESS;
  if (line["result"].get(value) == simdjson::SUCCESS) {
    if (has_error) return BadLine{"answered both a 'result' and an 'error'"};
    return WorkerResult{json::raw_of(value).text};
  }
  if (has_error) return read_failure(line["error"]);
  if (line["progress"].get(value) == simdjson::SUCCESS) return read_progress(value, line);
  return BadLine{"answered without 'result', 'error' or 'progress'"};
}

}  // namespace

std::string message_line(const PoolMessage& message, std::optional<Time> deadline) {
  std::string line;
  line.reserve(message.args.size() + 96);
  json::Writer writer(line);
  writer.begin_object();
  writer.key("id");
  writer.unsigned_integer(message.run.job);
  writer.key("attempt");
  writer.unsigned_integer(message.run.attempt);
  writer.key("args");
  writer.raw(message.args.empty() ? std::string_view("null") : std::string_view(message.args));
  writer.key("deadline");
  if (deadline) {
    writer.seconds(*deadline);
  } else {
    writer.null();
  }
  writer.end_object();
  line += '\n';
  return line;
}

WorkerLine read_worker_line(json::Parser& parser, std::string_view line, JobId id) {
  try {
    simdjson::dom::object object;
    if (parser.parse_copy(line).get(object) == simdjson::SUCCESS) return read_object(object, id);
    return BadLine{"wrote a line that is no JSON object: " + shown(line)};
  } catch (const Error& error) {
    return BadLine{"wrote a line that is not JSON (" + error.message() + "): " + shown(line)};
  }
}

}  // namespace stint::worker
