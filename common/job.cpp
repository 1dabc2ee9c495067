#include "common/job.hpp"

#include <algorithm>

#include "common/base64.hpp"

namespace stint {
namespace {

void write_payload(json::Writer& writer, std::string_view key, const json::Raw& payload) {
  if (payload.text.size() > limits::record_payload_bytes_max) return;
  writer.key(key);
  writer.raw(payload.text);
}

void write_work(json::Writer& writer, const JobRecord& record) {
  const JobSpec& spec = *record.spec;
  if (spec.command) {
    writer.key("command");
    if (record.item != nullptr) {
      json::encode(writer, expand_command(*spec.command, spec.item_marker, *record.item));
    } else {
      json::encode(writer, *spec.command);
    }
  } else if (spec.shell) {
    writer.key("shell");
    writer.string(*spec.shell);
  } else if (spec.task || spec.pool) {
    writer.key(spec.task ? "task" : "pool");
    writer.string(spec.task ? *spec.task : *spec.pool);
    if (record.item != nullptr) {
      write_payload(writer, "args", *record.item);
    } else if (spec.args) {
      write_payload(writer, "args", *spec.args);
    }
  }
}

template <class T>
void write_optional(json::Writer& writer, std::string_view key, const std::optional<T>& value) {
  if (!value) return;
  writer.key(key);
  json::encode(writer, *value);
}

template <class T>
void write_unless(json::Writer& writer, std::string_view key, const T& value, const T& usual) {
  if (value == usual) return;
  writer.key(key);
  json::encode(writer, value);
}

/// The specification's fields without env and stdin; what has its default is left out.
void write_spec(json::Writer& writer, const JobRecord& record) {
  static const JobSpec usual;
  const JobSpec& spec = *record.spec;
  write_work(writer, record);
  writer.key("executor");
  writer.string(json::enum_name(record.executor));
  write_optional(writer, "name", spec.name);
  write_unless(writer, "tags", spec.tags, usual.tags);
  write_optional(writer, "group", spec.group);
  writer.key("queue");
  writer.string(spec.queue);
  writer.key("priority");
  writer.integer(spec.priority);
  write_optional(writer, "cwd", spec.cwd);
  write_optional(writer, "umask", spec.umask);
  write_unless(writer, "clean_env", spec.clean_env, usual.clean_env);
  write_unless(writer, "output_limit", spec.output_limit, usual.output_limit);
  write_optional(writer, "delay", spec.delay);
  write_optional(writer, "at", spec.at);
  write_optional(writer, "expires", spec.expires);
  write_optional(writer, "timeout", spec.timeout);
  write_unless(writer, "grace", spec.grace, usual.grace);
  write_unless(writer, "leftovers", spec.leftovers, usual.leftovers);
  write_unless(writer, "retry", spec.retry, usual.retry);
  write_unless(writer, "locks", spec.locks, usual.locks);
  write_unless(writer, "semaphores", spec.semaphores, usual.semaphores);
  write_optional(writer, "concurrency", spec.concurrency);
  write_unless(writer, "daemon", spec.daemon, usual.daemon);
  write_unless(writer, "durable", spec.durable, usual.durable);
  write_optional(writer, "keep", spec.keep);
}

struct EndWriter {
  json::Writer& writer;
  bool with_error;

  void operator()(const EndReport::Exited& end) const {
    writer.key("exit_code");
    writer.integer(end.code);
  }
  void operator()(const EndReport::Signalled& end) const {
    writer.key("signal");
    writer.integer(end.signal);
  }
  void operator()(const EndReport::Returned& end) const { write_payload(writer, "result", end.result); }
  void operator()(const EndReport::Failed& end) const {
    write_optional(writer, "exit_code", end.exit_code);
    if (!with_error) return;
    writer.key("error");
    const bool small = !end.error.data || end.error.data->text.size() <= limits::record_payload_bytes_max;
    json::encode(writer, small ? end.error : JobError{end.error.kind, end.error.message, std::nullopt});
  }
  void operator()(const EndReport::Lost& end) const {
    if (!with_error) return;
    writer.key("error");
    json::encode(writer, JobError{"lost", end.message});
  }
};

void write_end(json::Writer& writer, const EndReport& end, bool with_error) {
  std::visit(EndWriter{writer, with_error}, end.ending);
  write_optional(writer, "usage", end.usage);
  if (end.stdout_content) {
    writer.key("stdout");
    json::encode(writer, end.stdout_content->size);
  }
  if (end.stderr_content) {
    writer.key("stderr");
    json::encode(writer, end.stderr_content->size);
  }
}

/// What only a program of its own has.
void refuse_for_pool(const JobSpec& spec, const json::Path& path) {
  static const JobSpec usual;
  const auto refuse = [&path](std::string_view field, const char* expected) { json::refuse(path.field(field), expected); };
  constexpr const char* alone = "to stand only beside \"command\" or \"shell\": a pool's workers have what pool.set says";
  if (spec.cwd) refuse("cwd", alone);
  if (spec.umask) refuse("umask", alone);
  if (!spec.env.empty()) refuse("env", alone);
  if (spec.clean_env) refuse("clean_env", alone);
  if (spec.stdin_source != usual.stdin_source) refuse("stdin", alone);
  if (spec.stdout_target != usual.stdout_target) refuse("stdout", alone);
  if (spec.leftovers != usual.leftovers) refuse("leftovers", alone);
  const bool stderr_kept_or_not =
      spec.stderr_target.is_capture() || std::holds_alternative<OutputTarget::Null>(spec.stderr_target.target);
  if (!stderr_kept_or_not) refuse("stderr", "\"capture\" or \"null\" beside \"pool\"");
  if (spec.executor && *spec.executor != ExecutorKind::process) {
    refuse("executor", "\"process\": a pool's workers are processes");
  }
}

void validate_permits(const JobSpec& spec, const json::Path& path) {
  const auto require_name = [](const std::string& name, const json::Path& at) {
    if (name.empty() || name.size() > limits::name_bytes_max) {
      json::refuse(at, json::detail::range_text({1, limits::name_bytes_max}, "bytes"));
    }
  };
  for (std::size_t i = 0; i < spec.locks.size(); ++i) {
    const json::Path list = path.field("locks");
    require_name(spec.locks[i], list.element(i));
    const auto end = spec.locks.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::find(spec.locks.begin(), end, spec.locks[i]) != end) json::refuse(list.element(i), "each lock once");
  }
  for (const auto& [name, permits] : spec.semaphores) {
    const json::Path map = path.field("semaphores");
    require_name(name, map.field(name));
    if (permits < 1 || permits > limits::permits_max) {
      json::refuse(map.field(name), "a number of permits, 1 to " + std::to_string(limits::permits_max));
    }
  }
}

}  // namespace

void Retry::validate(const json::Path& path) const {
  if (max_delay && *max_delay < delay) json::refuse(path.field("max_delay"), "at least \"delay\"");
}

void validate_command(const std::vector<std::string>& command, const json::Path& path) {
  if (command.front().empty()) json::refuse(path.field("command").element(0), "the name of a program");
  std::size_t bytes = 0;
  for (const auto& element : command) bytes += element.size() + 1;
  if (bytes > limits::command_bytes_max) {
    json::refuse(path.field("command"), "at most " + std::to_string(limits::command_bytes_max) + " bytes in all");
  }
}

void validate_env(const std::map<std::string, std::string>& env, const json::Path& path) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : env) {
    if (name.empty() || name.find('=') != std::string::npos || name.find('\0') != std::string::npos) {
      json::refuse(path.field("env").field(name), "a variable's name: not empty, no '=', no NUL");
    }
    bytes += name.size() + value.size() + 2;
  }
  if (bytes > limits::env_bytes_max) {
    json::refuse(path.field("env"), "at most " + std::to_string(limits::env_bytes_max) + " bytes in all");
  }
}

void JobSpec::validate(const json::Path& path) const {
  const int kinds = int(command.has_value()) + int(shell.has_value()) + int(task.has_value()) + int(pool.has_value());
  if (kinds != 1) json::refuse(path, "exactly one of \"command\", \"shell\", \"task\" and \"pool\"");
  if (command) validate_command(*command, path);
  if (pool) refuse_for_pool(*this, path);
  if (args && !task && !pool) json::refuse(path.field("args"), "to stand only beside \"task\" or \"pool\"");
  if (cwd && !cwd->starts_with('/')) json::refuse(path.field("cwd"), "an absolute path");
  if (delay && at) json::refuse(path.field("at"), "not to stand beside \"delay\"");
  if (retry.max > 0 && stdin_source.is_stream()) {
    json::refuse(path.field("stdin"), "not \"stream\" beside \"retry\": a second attempt would find nothing to read");
  }
  validate_env(env, path);
  validate_permits(*this, path);
  for (std::size_t i = 0; i < tags.size(); ++i) {
    if (tags[i].empty() || tags[i].size() > limits::name_bytes_max) {
      json::refuse(path.field("tags").element(i), json::detail::range_text({1, limits::name_bytes_max}, "bytes"));
    }
  }
  if (std::holds_alternative<OutputTarget::ToStdout>(stdout_target.target)) {
    json::refuse(path.field("stdout"), "\"capture\", \"null\" or {\"file\": path}");
  }
  if (queue != "default") {
    Error error = unavailable("only the queue 'default' is served by this version", "not served by this version");
    error.field = path.field("queue").text();
    throw error;
  }
  if (executor == ExecutorKind::cluster) {
    Error error = unavailable("the executor 'cluster' is not served by this version", "not served by this version");
    error.field = path.field("executor").text();
    throw error;
  }
  if (is_program() && executor && *executor != ExecutorKind::process) {
    json::refuse(path.field("executor"), "\"process\" or \"cluster\": a program runs nowhere else");
  }
}

void encode_record(json::Writer& writer, const JobRecord& record) {
  writer.begin_object();
  writer.key("id");
  writer.unsigned_integer(record.id);
  if (record.seq != 0) {
    writer.key("seq");
    writer.unsigned_integer(record.seq);
  }
  writer.key("state");
  writer.string(json::enum_name(record.state));
  write_optional(writer, "phase", record.phase);
  write_optional(writer, "outcome", record.outcome);
  writer.key("attempt");
  writer.unsigned_integer(record.attempt);
  writer.key("user");
  writer.string(record.user);
  write_spec(writer, record);
  write_optional(writer, "parent", record.parent);
  if (record.item != nullptr) write_payload(writer, "item", *record.item);
  write_optional(writer, "index", record.index);
  writer.key("submitted_at");
  writer.seconds(record.submitted_at);
  write_optional(writer, "started_at", record.started_at);
  write_optional(writer, "finished_at", record.finished_at);
  if (record.started_at && record.finished_at) {
    writer.key("duration");
    writer.seconds(*record.finished_at - *record.started_at);
  }
  if (!record.worker.empty()) {
    writer.key("worker");
    writer.string(record.worker);
  }
  write_optional(writer, "pid", record.pid);
  write_optional(writer, "progress", record.progress);
  if (record.end != nullptr) write_end(writer, *record.end, !record.error.has_value());
  if (record.error) {
    writer.key("error");
    json::encode(writer, *record.error);
  }
  writer.end_object();
}

std::vector<std::string_view> record_fields() {
  std::vector<std::string_view> names{"id",    "seq",      "state",        "phase",      "outcome",     "attempt",
                                      "user",  "parent",   "rerun_of",     "item",       "index",       "worker",
                                      "pid",   "progress", "submitted_at", "started_at", "finished_at", "duration",
                                      "usage", "result",   "error",        "exit_code",  "signal"};
  std::apply([&names](const auto&... row) { (names.push_back(row.name), ...); }, JobSpec::fields());
  return names;
}

Outcome natural_outcome(const EndReport& end) {
  if (std::holds_alternative<EndReport::Lost>(end.ending)) return Outcome::lost;
  if (end.timed_out) return Outcome::timed_out;
  if (std::holds_alternative<EndReport::Returned>(end.ending)) return Outcome::succeeded;
  const auto* exited = std::get_if<EndReport::Exited>(&end.ending);
  return exited != nullptr && exited->code == 0 ? Outcome::succeeded : Outcome::failed;
}

std::string item_text(const json::Raw& item) {
  if (!item.text.starts_with('"')) return item.text;
  // A plain string without escapes is by far the most common item.
  if (item.text.find('\\') == std::string::npos) return item.text.substr(1, item.text.size() - 2);
  return json::to_nlohmann(item).get<std::string>();
}

std::vector<std::string> expand_command(const std::vector<std::string>& command, std::string_view marker, const json::Raw& item) {
  const std::string text = item_text(item);
  std::vector<std::string> out;
  out.reserve(command.size());
  for (const auto& element : command) {
    std::string expanded;
    std::size_t from = 0;
    for (std::size_t at = element.find(marker); at != std::string::npos; at = element.find(marker, from)) {
      expanded.append(element, from, at - from).append(text);
      from = at + marker.size();
    }
    expanded.append(element, from);
    out.push_back(std::move(expanded));
  }
  return out;
}

}  // namespace stint

namespace stint::json {
namespace {

constexpr std::string_view stdin_forms = R"(a string, {"base64": …}, {"file": path}, or "stream")";

struct Base64Form {
  std::optional<std::string> base64;
  std::optional<std::string> file;
  static constexpr auto fields() {
    return std::tuple{json::optional("base64", &Base64Form::base64, "bytes, encoded"),
                      json::optional("file", &Base64Form::file, "path, relative to cwd", Range{1, limits::path_bytes_max})};
  }
};

}  // namespace

StdinSource Codec<StdinSource>::read(Value value, const Path& path, Range) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    if (text == "stream") return {StdinSource::Stream{}};
    if (text.empty()) return {StdinSource::Empty{}};
    return {StdinSource::Bytes{std::string(text)}};
  }
  if (!value.is_object()) refuse(path, std::string(stdin_forms));
  auto form = decode<Base64Form>(value, path);
  if (form.base64.has_value() == form.file.has_value()) refuse(path, std::string(stdin_forms));
  if (form.file) return {StdinSource::File{std::move(*form.file)}};
  auto bytes = base64_decode(*form.base64);
  if (!bytes) refuse(path.field("base64"), "base64 with padding");
  if (bytes->empty()) return {StdinSource::Empty{}};
  return {StdinSource::Bytes{std::move(*bytes)}};
}

void Codec<StdinSource>::write(Writer& writer, const StdinSource& source) {
  if (source.is_stream()) {
    writer.string("stream");
  } else if (const auto* file = std::get_if<StdinSource::File>(&source.source)) {
    writer.begin_object();
    writer.key("file");
    writer.string(file->path);
    writer.end_object();
  } else if (const auto* bytes = std::get_if<StdinSource::Bytes>(&source.source)) {
    if (is_utf8(bytes->bytes) && bytes->bytes != "stream") {
      writer.string(bytes->bytes);
    } else {
      writer.begin_object();
      writer.key("base64");
      writer.string(base64_encode(bytes->bytes));
      writer.end_object();
    }
  } else {
    writer.string("");
  }
}

nlohmann::json Codec<StdinSource>::describe(Range) {
  auto form = json::describe<Base64Form>();
  return {{"oneOf", nlohmann::json::array({nlohmann::json{{"type", "string"}}, form})}};
}

OutputTarget Codec<OutputTarget>::read(Value value, const Path& path, Range) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    if (text == "capture") return {OutputTarget::Capture{}};
    if (text == "null") return {OutputTarget::Null{}};
    if (text == "stdout") return {OutputTarget::ToStdout{}};
  }
  if (!value.is_object()) refuse(path, R"("capture", "null", {"file": path, "append": bool}, or for stderr "stdout")");
  return {decode<OutputTarget::File>(value, path)};
}

void Codec<OutputTarget>::write(Writer& writer, const OutputTarget& target) {
  if (target.is_capture()) {
    writer.string("capture");
  } else if (const auto* file = std::get_if<OutputTarget::File>(&target.target)) {
    encode(writer, *file);
  } else {
    writer.string(std::holds_alternative<OutputTarget::Null>(target.target) ? "null" : "stdout");
  }
}

nlohmann::json Codec<OutputTarget>::describe(Range) {
  nlohmann::json words{{"type", "string"}, {"enum", {"capture", "null", "stdout"}}};
  return {{"oneOf", nlohmann::json::array({words, json::describe<OutputTarget::File>()})}};
}

Umask Codec<Umask>::read(Value value, const Path& path, Range) {
  constexpr std::int64_t most = 0777;
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    const bool octal =
        !text.empty() && text.size() <= 4 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '7'; });
    const auto bits = octal ? std::stoul(std::string(text), nullptr, 8) : most + 1;
    if (bits <= most) return {static_cast<std::uint32_t>(bits)};
  } else if (std::int64_t bits = 0; value.get(bits) == simdjson::SUCCESS && bits >= 0 && bits <= most) {
    return {static_cast<std::uint32_t>(bits)};
  }
  refuse(path, "an octal string \"000\" to \"777\", or an integer, 0 to 511");
}

void Codec<Umask>::write(Writer& writer, const Umask& mask) {
  std::string text = "000";
  for (std::size_t i = 0; i < 3; ++i) text[2 - i] = static_cast<char>('0' + ((mask.bits >> (3 * i)) & 7U));
  writer.string(text);
}

nlohmann::json Codec<Umask>::describe(Range) {
  return {{"oneOf", nlohmann::json::array({nlohmann::json{{"type", "string"}, {"pattern", "^[0-7]{1,4}$"}},
                                           nlohmann::json{{"type", "integer"}, {"minimum", 0}, {"maximum", 511}}})}};
}

}  // namespace stint::json
