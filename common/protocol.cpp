#include "common/protocol.hpp"

#include <csignal>
#include <cstring>

namespace stint::protocol {
namespace {

void require_one_of(const json::Path& path, int given, std::string expected) {
  if (given != 1) json::refuse(path, std::move(expected));
}

/// Elements of a list have no range of their own.
void require_ids(const json::Path& path, const std::optional<std::vector<JobId>>& ids) {
  if (!ids) return;
  for (std::size_t i = 0; i < ids->size(); ++i) {
    if ((*ids)[i] == 0) json::refuse(path.field("ids").element(i), "a job's id, at least 1");
  }
}

constexpr int signal_max = 64;

}  // namespace

void SubmitManyRequest::validate(const json::Path& path) const {
  const bool listed = jobs.has_value();
  const bool templated = job_template.has_value();
  if (listed == templated) json::refuse(path, "either \"jobs\", or \"template\" and \"items\"");
  if (templated != items.has_value())
    json::refuse(path.field(templated ? "items" : "template"), "\"template\" and \"items\" together");
  for (std::size_t i = 0; listed && i < jobs->size(); ++i) {
    if ((*jobs)[i].key) json::refuse(path.field("jobs").element(i).field("key"), "no key inside: give one for the whole call");
  }
  if (templated && job_template->key)
    json::refuse(path.field("template").field("key"), "no key inside: give one for the whole call");
  if (marker && listed) json::refuse(path.field("marker"), "to stand only beside \"template\"");
  if (!templated) return;
  const std::string_view mark = marker ? std::string_view(*marker) : std::string_view("{}");
  if (job_template->shell && job_template->shell->find(mark) != std::string::npos) {
    json::refuse(path.field("template").field("shell"),
                 "no marker in a shell text: use \"$STINT_ITEM\", which is never parsed as code");
  }
  if (job_template->args) {
    json::refuse(path.field("template").field("args"), "no args in a template: the item is the args");
  }
  if (job_template->is_program()) {
    for (std::size_t i = 0; i < items->size(); ++i) {
      const std::string& item = (*items)[i].text;
      const char first = item.front();
      const bool fits = first == '"' || first == '-' || (first >= '0' && first <= '9');
      if (!fits) json::refuse(path.field("items").element(i), "a string or a number for a program");
      // Looked at closely only where the escape of a NUL may stand in it.
      if (item.find("u0000") != std::string::npos && item_text((*items)[i]).find('\0') != std::string::npos) {
        json::refuse(path.field("items").element(i), "a string without NUL bytes");
      }
    }
  }
}

void WaitRequest::validate(const json::Path& path) const {
  require_ids(path, ids);
  require_one_of(path, int(ids.has_value()) + int(group.has_value()), "either \"ids\" or \"group\"");
}
void ResultsRequest::validate(const json::Path& path) const {
  require_ids(path, ids);
  if (ids && group) json::refuse(path, "\"ids\", \"group\" or neither");
  if (!only) return;
  const std::vector<std::string_view> known = record_fields();
  for (std::size_t i = 0; i < only->size(); ++i) {
    if (std::ranges::find(known, (*only)[i]) != known.end()) continue;
    Error error = invalid_params(path.field("fields").element(i).text(), "a field of a job's record");
    error.nearest = nearest_name((*only)[i], known);
    throw error;
  }
}
void CancelRequest::validate(const json::Path& path) const {
  require_ids(path, ids);
  require_one_of(path, int(ids.has_value()) + int(group.has_value()), "either \"ids\" or \"group\"");
}
void ForgetRequest::validate(const json::Path& path) const {
  require_ids(path, ids);
  require_one_of(path, int(ids.has_value()) + int(group.has_value()) + int(older_than.has_value()),
                 "one of \"ids\", \"group\" and \"older_than\"");
}

int signal_number(const json::Raw& raw) {
  const auto value = json::to_nlohmann(raw);
  if (value.is_number_integer()) {
    if (value >= 1 && value <= signal_max) return value.get<int>();
  } else if (value.is_string()) {
    std::string name = value.get<std::string>();
    if (name.starts_with("SIG")) name.erase(0, 3);
    for (int number = 1; number <= signal_max; ++number) {
      const char* known = sigabbrev_np(number);
      if (known != nullptr && name == known) return number;
    }
  }
  throw invalid_params("signal", "a signal's number, 1 to 64, or its name, for example \"TERM\"");
}

std::string signal_name(int number) {
  const char* known = sigabbrev_np(number);
  return "SIG" + (known != nullptr ? std::string(known) : std::to_string(number));
}

void encode_error(json::Writer& writer, const Error& error) {
  const auto put = [&writer](std::string_view key, const auto& value) {
    if (!value) return;
    writer.key(key);
    json::encode(writer, *value);
  };
  writer.begin_object();
  writer.key("code");
  writer.integer(error_code(error.kind()));
  writer.key("message");
  writer.string(error.message());
  writer.key("data");
  writer.begin_object();
  writer.key("kind");
  writer.string(error_name(error.kind()));
  writer.key("retryable");
  // Where a field is named, its value is what is wrong, now and later.
  writer.boolean(error_retryable(error.kind()) && !error.field);
  put("field", error.field);
  put("expected", error.expected);
  put("nearest", error.nearest);
  put("reason", error.reason);
  put("limit", error.limit);
  put("value", error.value);
  put("setting", error.setting);
  put("incident", error.incident);
  put("offset", error.offset);
  if (!error.circle.empty()) put("circle", std::optional(error.circle));
  writer.end_object();
  writer.end_object();
}

}  // namespace stint::protocol
