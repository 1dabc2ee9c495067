// Layout: version, kind of ending, flags, then the ending and what the flags announce, in the order of the flags.
// Integers are LEB128, signed ones zigzag; texts are a length and bytes.
#include "daemon/db/end_report_codec.hpp"

#include <limits>

#include "daemon/db/catalogue.hpp"

namespace stint::db {
namespace {

constexpr std::uint64_t layout = 1;

enum class Kind : std::uint8_t { exited, signalled, returned, failed, lost };

enum Flag : std::uint64_t {
  flag_timed_out = 1,
  flag_stopped = 2,
  flag_usage = 4,
  flag_stdout = 8,
  flag_stderr = 16,
  flag_own_time = 32,   // its finished_at is not the job's
  flag_exit_code = 64,  // of Failed
  flag_data = 128,      // of Failed
};
constexpr std::uint64_t flags_known = 255;

constexpr std::uint64_t content_truncated = 1;
constexpr std::uint64_t content_in_file = 2;

class Put {
 public:
  explicit Put(std::string& out) : out_(out) {}
  void natural(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) out_ += static_cast<char>(value | 0x80U);
    out_ += static_cast<char>(value);
  }
  void integer(std::int64_t value) {
    natural((static_cast<std::uint64_t>(value) << 1U) ^ static_cast<std::uint64_t>(value >> 63));
  }
  void text(std::string_view value) {
    natural(value.size());
    out_ += value;
  }

 private:
  std::string& out_;
};

class Take {
 public:
  explicit Take(std::string_view bytes) : bytes_(bytes) {}
  std::uint64_t natural() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (bytes_.empty()) break;
      const auto byte = static_cast<unsigned char>(bytes_.front());
      bytes_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
      if (byte < 0x80) return value;
    }
    throw StoreFailure("the end of a finished job is not readable");
  }
  std::int64_t integer() {
    const std::uint64_t value = natural();
    return static_cast<std::int64_t>(value >> 1U) ^ -static_cast<std::int64_t>(value & 1U);
  }
  int small() {
    const std::int64_t value = integer();
    require(value >= std::numeric_limits<int>::min() && value <= std::numeric_limits<int>::max());
    return static_cast<int>(value);
  }
  std::string text() {
    const std::uint64_t size = natural();
    require(size <= bytes_.size());
    std::string value(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return value;
  }
  void require(bool holds) const {
    if (!holds) throw StoreFailure("the end of a finished job is not readable");
  }
  void end() const { require(bytes_.empty()); }

 private:
  std::string_view bytes_;
};

struct PutEnding {
  Put& put;
  void operator()(const EndReport::Exited& end) const { put.integer(end.code); }
  void operator()(const EndReport::Signalled& end) const { put.integer(end.signal); }
  void operator()(const EndReport::Returned& end) const { put.text(end.result.text); }
  void operator()(const EndReport::Failed& end) const {
    put.text(end.error.kind);
    put.text(end.error.message);
    if (end.exit_code) put.integer(*end.exit_code);
    if (end.error.data) put.text(end.error.data->text);
  }
  void operator()(const EndReport::Lost& end) const { put.text(end.message); }
};

void put_content(Put& put, const OutputContent& content) {
  put.natural(content.size.bytes);
  put.natural((content.size.truncated ? content_truncated : 0) | (content.in_file ? content_in_file : 0));
  put.text(content.bytes);
}

OutputContent take_content(Take& take) {
  OutputContent content;
  content.size.bytes = take.natural();
  const std::uint64_t flags = take.natural();
  take.require(flags <= (content_truncated | content_in_file));
  content.size.truncated = (flags & content_truncated) != 0;
  content.in_file = (flags & content_in_file) != 0;
  content.bytes = take.text();
  return content;
}

std::uint64_t flags_of(const EndReport& report, Time finished_at) {
  std::uint64_t flags = 0;
  if (report.timed_out) flags |= flag_timed_out;
  if (report.stopped) flags |= flag_stopped;
  if (report.usage) flags |= flag_usage;
  if (report.stdout_content) flags |= flag_stdout;
  if (report.stderr_content) flags |= flag_stderr;
  if (report.finished_at != finished_at) flags |= flag_own_time;
  const auto* const failed = std::get_if<EndReport::Failed>(&report.ending);
  if (failed != nullptr && failed->exit_code) flags |= flag_exit_code;
  if (failed != nullptr && failed->error.data) flags |= flag_data;
  return flags;
}

void take_ending(Take& take, Kind kind, std::uint64_t flags, EndReport& report) {
  switch (kind) {
    case Kind::exited: report.ending = EndReport::Exited{take.small()}; return;
    case Kind::signalled: report.ending = EndReport::Signalled{take.small()}; return;
    case Kind::returned: report.ending = EndReport::Returned{json::Raw{take.text()}}; return;
    case Kind::failed: {
      EndReport::Failed failed;
      failed.error.kind = take.text();
      failed.error.message = take.text();
      if ((flags & flag_exit_code) != 0) failed.exit_code = take.small();
      if ((flags & flag_data) != 0) failed.error.data = json::Raw{take.text()};
      report.ending = std::move(failed);
      return;
    }
    case Kind::lost: report.ending = EndReport::Lost{take.text()}; return;
  }
}

}  // namespace

void encode_end(std::string& out, const EndReport& report, Time finished_at) {
  static_assert(std::variant_size_v<decltype(report.ending)> == 5, "the index stands on disk: new endings go behind the others");
  Put put(out);
  const std::uint64_t flags = flags_of(report, finished_at);
  put.natural(layout);
  put.natural(report.ending.index());
  put.natural(flags);
  std::visit(PutEnding{put}, report.ending);
  if (report.usage) {
    put.integer(report.usage->user_seconds.count());
    put.integer(report.usage->system_seconds.count());
    put.natural(report.usage->max_rss);
  }
  if (report.stdout_content) put_content(put, *report.stdout_content);
  if (report.stderr_content) put_content(put, *report.stderr_content);
  if ((flags & flag_own_time) != 0) put.integer(report.finished_at.time_since_epoch().count());
}

EndReport decode_end(std::string_view bytes, Time finished_at) {
  Take take(bytes);
  EndReport report;
  take.require(take.natural() == layout);
  const std::uint64_t kind = take.natural();
  const std::uint64_t flags = take.natural();
  take.require(kind <= static_cast<std::uint64_t>(Kind::lost) && flags <= flags_known);
  take_ending(take, static_cast<Kind>(kind), flags, report);
  report.timed_out = (flags & flag_timed_out) != 0;
  report.stopped = (flags & flag_stopped) != 0;
  if ((flags & flag_usage) != 0) {
    report.usage.emplace();
    report.usage->user_seconds = Duration{take.integer()};
    report.usage->system_seconds = Duration{take.integer()};
    report.usage->max_rss = take.natural();
  }
  if ((flags & flag_stdout) != 0) report.stdout_content = take_content(take);
  if ((flags & flag_stderr) != 0) report.stderr_content = take_content(take);
  report.finished_at = (flags & flag_own_time) != 0 ? Time{Duration{take.integer()}} : finished_at;
  take.end();
  return report;
}

}  // namespace stint::db
