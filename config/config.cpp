// The table of keys. A new setting is a member of Config and one row here; nothing else lists them.

#include "config/config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "common/nearest.hpp"

namespace stint::config {
namespace {

constexpr std::array<std::string_view, 4> level_words{"debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 2> target_words{"stderr", "file"};
constexpr std::array<std::string_view, 3> on_stop_words{"detach", "drain", "cancel"};

template <class T>
constexpr std::span<const std::string_view> words_of() {
  if constexpr (std::is_same_v<T, LogLevel>) return level_words;
  if constexpr (std::is_same_v<T, LogTarget>) return target_words;
  if constexpr (std::is_same_v<T, OnStop>) return on_stop_words;
  return {};
}

template <auto Member>
using MemberType = std::remove_cvref_t<decltype(std::declval<Config&>().*Member)>;

template <auto Member>
constexpr Type type_of() {
  using T = MemberType<Member>;
  if constexpr (std::is_same_v<T, std::filesystem::path>) return Type::path;
  if constexpr (std::is_same_v<T, std::optional<std::filesystem::path>>) return Type::optional_path;
  if constexpr (std::is_same_v<T, Duration>) return Type::seconds;
  if constexpr (std::is_enum_v<T>) return Type::word;
  return Type::integer;
}

template <auto Member>
Value get_member(const Config& config) {
  using T = MemberType<Member>;
  const T& value = config.*Member;
  if constexpr (type_of<Member>() == Type::path) return value.string();
  if constexpr (type_of<Member>() == Type::optional_path) return value ? value->string() : std::string{};
  if constexpr (type_of<Member>() == Type::seconds) return to_seconds(value);
  if constexpr (type_of<Member>() == Type::word) return std::string(words_of<T>()[static_cast<std::size_t>(value)]);
  if constexpr (type_of<Member>() == Type::integer) return std::uint64_t{value};
}

template <auto Member>
void set_member(Config& config, const Value& value) {
  using T = MemberType<Member>;
  T& member = config.*Member;
  if constexpr (type_of<Member>() == Type::path) member = std::get<std::string>(value);
  if constexpr (type_of<Member>() == Type::optional_path) {
    member.reset();
    if (const auto& path = std::get<std::string>(value); !path.empty()) member = path;
  }
  if constexpr (type_of<Member>() == Type::seconds) member = from_seconds(std::get<double>(value));
  if constexpr (type_of<Member>() == Type::integer) member = static_cast<T>(std::get<std::uint64_t>(value));
  if constexpr (type_of<Member>() == Type::word) {
    const auto words = words_of<T>();
    member = static_cast<T>(std::ranges::find(words, std::get<std::string>(value)) - words.begin());
  }
}

template <auto Member>
constexpr Key key(std::string_view name, std::string_view text, double min = 0, double max = 0,
                  std::string_view default_text = {}) {
  return {name,
          type_of<Member>(),
          min,
          max,
          words_of<MemberType<Member>>(),
          default_text,
          text,
          &get_member<Member>,
          &set_member<Member>};
}

constexpr double day = 86'400;

// The default of a member stands in its initialiser; of the few that depend on the machine, in load().
constexpr std::array key_table{
    key<&Config::socket>("socket", "The Unix socket that clients connect to; its path has at most 107 bytes.", 0, 0,
                         "$XDG_RUNTIME_DIR/stint/stint.sock, or /tmp/stint-UID/stint.sock"),
    key<&Config::state_dir>("state_dir", "Where output, workers' files and the log are kept; made with mode 0700.", 0, 0,
                            "$XDG_STATE_HOME/stint, or ~/.local/state/stint"),
    key<&Config::process_slots>("process.slots", "How many programs run at once.", 1, 65'536, "the number of processors"),
    key<&Config::process_runners>("process.runners", "How many worker processes start and watch the programs.", 1, 64),
    key<&Config::process_hosts>("process.hosts", "How many worker processes run tasks in isolation, one task each at a time.", 1,
                                1'024, "the number of processors"),
    key<&Config::thread_threads>("thread.threads", "How many threads run tasks.", 1, 1'024, "the number of processors"),
    key<&Config::coroutine_slots>("coroutine.slots", "How many tasks run at once as coroutines.", 1, 1'000'000),
    key<&Config::scheduling_ageing>("scheduling.ageing",
                                    "How long a job must have waited to be worth one point of priority more.", 0.001, day),
    key<&Config::lease_reclaim>(
        "lease.reclaim", "How long locks and permits stay held after a restart so that their holders can resume them.", 0, day),
    key<&Config::api_connections>("api.connections", "How many clients may be connected at once.", 1, 1'000'000),
    key<&Config::api_send_timeout>("api.send_timeout", "A client that takes none of its answer for so long is disconnected.", 0.1,
                                   day),
    key<&Config::log_level>("log.level", "The least important messages that are logged."),
    key<&Config::log_target>("log.target", "Where the log goes: standard error, or stintd.log in the state directory, rotated."),
    key<&Config::log_file_bytes>("log.file_bytes", "The log file is rotated at this size.", 4'096, 1ULL << 40U),
    key<&Config::log_files>("log.files", "How many rotated log files are kept beside the current one.", 1, 100),
    key<&Config::retention_age>("retention.age", "How long finished jobs and their output are kept.", 1, 36'500 * day),
    key<&Config::retention_jobs>("retention.jobs", "How many finished jobs are kept; the oldest go first.", 0, 1e12),
    key<&Config::retention_output_bytes>(
        "retention.output_bytes", "How much output of finished jobs is kept, in bytes; the oldest goes first, with its job.", 0,
        1e15),
    key<&Config::plugins_directory>(
        "plugins.directory",
        "Where plug-ins lie (docs/plugins.md): each file there that ends in .so is loaded at the start. The directory, what is "
        "above it and the files must belong to root or to the daemon's user and be writable by nobody else."),
    key<&Config::daemon_on_stop>("daemon.on_stop",
                                 "What SIGTERM and SIGINT do to the jobs: detach: programs go on and are taken over at the next "
                                 "start; drain: run what is running and queued to its end first; cancel: stop them."),
    key<&Config::stop_timeout>("stop.timeout", "What has not ended so long after the order to stop is killed.", 0, 30 * day),
};

std::string number_text(double value) {
  std::array<char, 32> buffer{};
  // Exact for whole numbers, shortest otherwise.
  const auto end = value == std::floor(value) && std::abs(value) < 1e15
                       ? std::to_chars(buffer.data(), buffer.data() + buffer.size(), static_cast<std::int64_t>(value)).ptr
                       : std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return {buffer.data(), end};
}

template <class T>
std::optional<T> number_of(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string list_of(std::span<const std::string_view> words) {
  std::string list;
  for (const auto word : words) {
    if (!list.empty()) list += word == words.back() ? " or " : ", ";
    list.append("\"").append(word).append("\"");
  }
  return list;
}

}  // namespace

std::string Key::expected() const {
  switch (type) {
    case Type::integer: return "an integer from " + number_text(min) + " to " + number_text(max);
    case Type::seconds: return "seconds, a number from " + number_text(min) + " to " + number_text(max);
    case Type::path: return "a path, absolute or below the current directory";
    case Type::optional_path: return "a path, absolute or below the current directory, or \"\" for none";
    case Type::word: break;
  }
  return list_of(words);
}

void Key::set(Config& config, const Value& value) const {
  const auto in_range = [this](double number) { return number >= min && number <= max; };
  switch (type) {
    case Type::integer:
      if (const auto* number = std::get_if<std::uint64_t>(&value); number != nullptr && in_range(static_cast<double>(*number)))
        return set_unchecked(config, value);
      break;
    case Type::seconds:
      if (const auto* whole = std::get_if<std::uint64_t>(&value); whole != nullptr && in_range(static_cast<double>(*whole)))
        return set_unchecked(config, static_cast<double>(*whole));
      if (const auto* number = std::get_if<double>(&value); number != nullptr && in_range(*number))
        return set_unchecked(config, value);
      break;
    case Type::path:
    case Type::optional_path:
      if (const auto* path = std::get_if<std::string>(&value);
          path != nullptr && path->find('\0') == std::string::npos && (type == Type::optional_path || !path->empty()))
        return set_unchecked(config, value);
      break;
    case Type::word:
      if (const auto* word = std::get_if<std::string>(&value); word != nullptr && std::ranges::find(words, *word) != words.end())
        return set_unchecked(config, value);
      break;
  }
  throw std::invalid_argument(expected());
}

void Key::set_text(Config& config, std::string_view text) const {
  std::optional<Value> value;
  if (type == Type::integer) {
    if (const auto number = number_of<std::uint64_t>(text)) value = *number;
  } else if (type == Type::seconds) {
    if (const auto number = number_of<double>(text)) value = *number;
  } else {
    value = std::string(text);
  }
  if (!value) throw std::invalid_argument(expected());
  set(config, *value);
}

std::string Key::variable() const {
  std::string variable = "STINTD_";
  for (const char letter : name) {
    const bool small = letter >= 'a' && letter <= 'z';
    variable += letter == '.' ? '_' : small ? static_cast<char>(letter - 'a' + 'A') : letter;
  }
  return variable;
}

std::span<const Key> keys() { return key_table; }

const Key* find_key(std::string_view name) {
  const auto found = std::ranges::find(key_table, name, &Key::name);
  return found == key_table.end() ? nullptr : &*found;
}

std::string suggestion(std::string_view name) {
  std::vector<std::string_view> names;
  names.reserve(key_table.size());
  for (const Key& row : key_table) names.push_back(row.name);
  // `slots` alone is nearest to the keys that end so, which edit distance does not see.
  for (const auto known : names)
    if (known.ends_with(name) && known.size() > name.size() && known[known.size() - name.size() - 1] == '.')
      return " (did you mean '" + std::string(known) + "'?)";
  const auto near = nearest_name(name, names);
  return near ? " (did you mean '" + *near + "'?)" : "";
}

std::string to_toml(const Value& value) {
  if (const auto* whole = std::get_if<std::uint64_t>(&value)) return std::to_string(*whole);
  if (const auto* number = std::get_if<double>(&value)) return number_text(*number);
  std::string quoted = "\"";
  for (const char byte : std::get<std::string>(value)) {
    if (byte == '"' || byte == '\\') {
      quoted.append(1, '\\').append(1, byte);
    } else if (const auto code = static_cast<unsigned char>(byte); code < 0x20 || code == 0x7f) {
      constexpr std::string_view digits = "0123456789abcdef";
      quoted.append("\\u00").append(1, digits[code >> 4U]).append(1, digits[code & 15U]);
    } else {
      quoted += byte;
    }
  }
  return quoted + '"';
}

namespace {

/// The field list of pool.set, less what a file does not have, as an example.
void append_pool_fields(std::string& text) {
  const auto example = [](std::string_view name) -> std::string_view {
    if (name == "command") return "[\"/usr/local/bin/worker\"]";
    if (name == "cwd") return "\"/\"";
    if (name == "env") return "{ NAME = \"value\" }";
    return name == "idle_timeout" ? "60" : name == "max_jobs" ? "1000" : "1";
  };
  const auto one = [&](const auto& row) {
    if (row.name == "name" || row.name == "bind") return;
    text.append("# ").append(row.name).append(" = ").append(example(row.name)).append("  # ").append(row.doc).append("\n");
  };
  std::apply([&](const auto&... row) { (one(row), ...); }, PoolSpec::fields());
}

}  // namespace

std::string documented_toml() {
  std::string text =
      "# The settings of stintd, with their defaults.\n"
      "#\n"
      "# A personal daemon reads /etc/stint/personal.toml and then $XDG_CONFIG_HOME/stint/stint.toml "
      "(~/.config/stint/stint.toml);\n"
      "# `stintd --config FILE` reads FILE alone. Each key can also be set by an environment variable (STINTD_PROCESS_SLOTS=4)\n"
      "# and by a flag (--set process.slots=4), which win in this order. `stintd --print-config` shows what holds and where it\n"
      "# comes from, `stintd --check-config` only checks.\n";
  const Config defaults;
  std::string_view table_name;
  for (const Key& row : key_table) {
    const auto dot = row.name.find('.');
    const auto section = dot == std::string_view::npos ? std::string_view{} : row.name.substr(0, dot);
    if (section != table_name) text.append("\n[").append(section).append("]\n");
    table_name = section;
    const auto leaf = dot == std::string_view::npos ? row.name : row.name.substr(dot + 1);
    text.append("\n# ").append(row.doc).append("\n# Value: ").append(row.expected());
    if (!row.default_text.empty()) text.append("; default: ").append(row.default_text);
    text.append("\n#").append(leaf).append(" = ");
    text.append(row.type == Type::path ? std::string("\"…\"") : to_toml(row.get(defaults))).append("\n");
  }
  text +=
      "\n# Pools: long-lived workers of one program, each of which does one message at a time (docs/protocol.md, Pools). A table "
      "a pool,\n# any number of them; only files set them.\n# [pools.NAME]\n";
  append_pool_fields(text);
  return text;
}

}  // namespace stint::config
