// A finished job's record with the text of its small outputs spliced in, or some fields of it.
#include "common/base64.hpp"
#include "daemon/feed/feed.hpp"

namespace stint::feed {
namespace {

/// Offset just before the `}` of the record's member `"name":{"bytes":…,"truncated":…}`. It is the last place where that
/// text can stand: what follows in a record are strings, in which a quote is escaped.
std::size_t end_of_output_object(std::string_view record, std::string_view name) {
  const std::string opening = "\"" + std::string(name) + "\":{\"bytes\":";
  const std::size_t at = record.rfind(opening);
  return at == std::string_view::npos ? at : record.find('}', at);
}

void append_content(std::string& out, const OutputContent& content) {
  json::Writer writer(out);
  const bool text = json::is_utf8(content.bytes);
  out += ",\"data\":";
  writer.string(text ? content.bytes : base64_encode(content.bytes));
  out += text ? R"(,"encoding":"utf8")" : R"(,"encoding":"base64")";
}

/// Kept with the record and whole.
bool small(const std::optional<OutputContent>& content) {
  return content && !content->in_file && content->size.bytes == content->bytes.size();
}

/// The offset behind the JSON value that begins at `at`, in a text that is known to be JSON without blanks.
std::size_t end_of_value(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') {
      for (++at; text[at] != '"'; ++at) at += text[at] == '\\' ? 1 : 0;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == ',' && depth == 0) {
      return at;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;
      --depth;
    }
  }
  return at;
}

void append_fields(std::string& out, std::string_view record, const std::vector<std::string>& fields) {
  const auto wanted = [&fields](std::string_view name) {
    return name == "id" || name == "seq" || std::ranges::find(fields, name) != fields.end();
  };
  out += '{';
  bool first = true;
  for (std::size_t at = 1; at < record.size() && record[at] == '"';) {
    const std::size_t colon = record.find(':', at);  // the names of fields are plain words
    const std::size_t end = end_of_value(record, colon + 1);
    if (wanted(record.substr(at + 1, colon - at - 2))) {
      if (!first) out += ',';
      out += record.substr(at, end - at);
      first = false;
    }
    at = end + 1;
  }
  out += '}';
}

void append_with_output(std::string& out, const core::FinishedJob& job) {
  const std::string_view record = job.record;
  std::size_t copied = 0;
  for (const auto& [name, content] :
       {std::pair<std::string_view, const std::optional<OutputContent>&>("stdout", job.end.stdout_content),
        std::pair<std::string_view, const std::optional<OutputContent>&>("stderr", job.end.stderr_content)}) {
    if (!small(content)) continue;
    const std::size_t at = end_of_output_object(record, name);
    if (at == std::string_view::npos || at < copied) continue;
    out += record.substr(copied, at - copied);
    append_content(out, *content);
    copied = at;
  }
  out += record.substr(copied);
}

}  // namespace

void append_record(std::string& out, const core::FinishedJob& job, const RecordPart& part) {
  const bool output = part.output && (job.end.stdout_content || job.end.stderr_content);
  if (!part.fields) return output ? append_with_output(out, job) : void(out += job.record);
  if (!output) return append_fields(out, job.record, *part.fields);
  std::string whole;
  append_with_output(whole, job);
  append_fields(out, whole, *part.fields);
}

}  // namespace stint::feed
