// A finished job's record with the text of its small outputs spliced in.
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

}  // namespace

void append_record(std::string& out, const core::FinishedJob& job, bool output) {
  const std::string_view record = job.record;
  std::size_t copied = 0;
  if (output) {
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
  }
  out += record.substr(copied);
}

}  // namespace stint::feed
