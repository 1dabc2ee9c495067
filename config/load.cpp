// Loading: each source is laid over the one before it, and each value remembers where it came from.

#include "config/load.hpp"

#include <toml++/toml.h>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>
#include <thread>
#include "common/error.hpp"
#include "common/nearest.hpp"
#include "common/socket_paths.hpp"

namespace stint::config {
namespace {

constexpr std::size_t file_bytes_max = 1U << 20U;

[[noreturn]] void refuse(const std::string& where, const std::string& what) { throw ConfigError(where + ": " + what); }

std::string pool_toml(const PoolSpec& pool, const std::string& origin) {
  nlohmann::json object = nlohmann::json::parse(json::encode_text(pool));
  object.erase("name");
  std::string text = "[pools." + to_toml(pool.name) + "]  # " + origin + "\n";
  for (const auto& [key, value] : object.items()) {
    if (key != "env") text.append(key).append(" = ").append(value.dump()).append("\n");
  }
  // Environments are never shown.
  if (!pool.env.empty()) text += "# env: " + std::to_string(pool.env.size()) + " variables\n";
  return text;
}

class Loader {
 public:
  Loader() {
    const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
    loaded_.config.socket = default_socket_path();
    loaded_.config.state_dir = default_state_dir();
    loaded_.config.process_slots = processors;
    loaded_.config.process_hosts = processors;
    loaded_.config.thread_threads = processors;
    loaded_.origins.assign(keys().size(), "built-in");
  }

  void read_file(const std::filesystem::path& path, bool required) {
    errno = 0;
    std::ifstream stream(path, std::ios::binary);
    if (!stream) {
      const int error = errno;
      if (!required && (error == ENOENT || error == ENOTDIR)) return;
      refuse(path.string(), "cannot be read: " + std::generic_category().message(error));
    }
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) refuse(path.string(), "is a directory; a TOML file was expected");
    std::string text(file_bytes_max + 1, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(stream.gcount()));
    if (text.size() > file_bytes_max)
      refuse(path.string(), "is larger than " + std::to_string(file_bytes_max) + " bytes; a configuration was expected");
    try {
      walk(toml::parse(text, path.string()), {}, path.string());
    } catch (const toml::parse_error& error) {
      refuse(at(path.string(), error.source()), "not TOML: " + std::string(error.description()));
    }
  }

  void read_environment(const Environment& environment) {
    constexpr std::string_view prefix = "STINTD_";
    for (auto entry = environment.lower_bound(std::string(prefix)); entry != environment.end(); ++entry) {
      const auto& [variable, text] = *entry;
      if (!variable.starts_with(prefix)) break;
      set_text(key_of_variable(variable), text, variable);
    }
  }

  void apply_flag(const FlagSetting& setting) {
    const Key* key = find_key(setting.key);
    if (key == nullptr) refuse(setting.flag, "unknown key '" + setting.key + "'" + suggestion(setting.key));
    set_text(*key, setting.value, setting.flag);
  }

  Loaded take() {
    loaded_.config.socket = std::filesystem::absolute(loaded_.config.socket).lexically_normal();
    loaded_.config.state_dir = std::filesystem::absolute(loaded_.config.state_dir).lexically_normal();
    if (auto& plugins = loaded_.config.plugins_directory) plugins = std::filesystem::absolute(*plugins).lexically_normal();
    return std::move(loaded_);
  }

 private:
  static std::string at(const std::string& file, const toml::source_region& region) {
    return file + ":" + std::to_string(region.begin.line) + ":" + std::to_string(region.begin.column);
  }

  static bool is_section(std::string_view name) {
    for (const Key& key : keys())
      if (key.name.starts_with(name) && key.name.substr(name.size()).starts_with('.')) return true;
    return false;
  }

  static const Key& key_of_variable(const std::string& variable) {
    std::vector<std::string> names;
    for (const Key& key : keys()) {
      if (key.variable() == variable) return key;
      names.push_back(key.variable());
    }
    const auto near = nearest_name(variable, std::vector<std::string_view>(names.begin(), names.end()));
    refuse(variable, "sets no key" + (near ? " (did you mean '" + *near + "'?)" : std::string{}));
  }

  void walk(const toml::table& table, const std::string& prefix, const std::string& file) {
    for (const auto& [name, node] : table) {
      const std::string path = prefix.empty() ? std::string(name.str()) : prefix + "." + std::string(name.str());
      const Key* key = find_key(path);
      if (key == nullptr && is_section(path)) {
        if (!node.is_table()) refuse(at(file, name.source()), "'" + path + "' must be a table: [" + path + "]");
        walk(*node.as_table(), path, file);
        continue;
      }
      if (path == "pools") {
        if (!node.is_table()) refuse(at(file, name.source()), "'pools' must hold a table a pool: [pools.NAME]");
        for (const auto& [pool, table_of_pool] : *node.as_table())
          read_pool(std::string(pool.str()), pool.source(), table_of_pool, file);
        continue;
      }
      if (key == nullptr) refuse(at(file, name.source()), "unknown key '" + path + "'" + suggestion(path));
      set(*key, value_of(node), at(file, node.source()), file + ":" + std::to_string(node.source().begin.line));
    }
  }

  /// What no key takes (a boolean, a date, a list, a negative number) becomes nothing and is refused by the caller.
  static std::optional<Value> value_of(const toml::node& node) {
    if (const auto* integer = node.as_integer())
      return integer->get() < 0 ? std::nullopt : std::optional<Value>(static_cast<std::uint64_t>(integer->get()));
    if (const auto* number = node.as_floating_point()) return number->get();
    if (const auto* text = node.as_string()) return text->get();
    return std::nullopt;
  }

  void set(const Key& key, const std::optional<Value>& value, const std::string& where, const std::string& origin) {
    if (!value) refuse(where, "'" + std::string(key.name) + "' must be " + key.expected());
    try {
      key.set(loaded_.config, *value);
    } catch (const std::invalid_argument& error) {
      refuse(where, "'" + std::string(key.name) + "' must be " + error.what() + ", not " + to_toml(*value));
    }
    origin_of(key) = origin;
  }

  void set_text(const Key& key, const std::string& text, const std::string& origin) {
    try {
      key.set_text(loaded_.config, text);
    } catch (const std::invalid_argument& error) {
      refuse(origin, "'" + std::string(key.name) + "' must be " + error.what() + ", not '" + text + "'");
    }
    origin_of(key) = origin;
  }

  /// A pool is what pool.set takes, so the same field list reads it; where it stands in the file is added to what is wrong.
  void read_pool(const std::string& name, const toml::source_region& where, const toml::node& node, const std::string& file) {
    const std::string path = "pools." + name;
    if (!node.is_table()) refuse(at(file, where), "'" + path + "' must be a table: [" + path + "]");
    const toml::table& table = *node.as_table();
    std::ostringstream json;
    json << toml::json_formatter{table};
    try {
      if (table.contains("name")) throw invalid_params("name", "no name inside: the table has it");
      if (table.contains("bind")) throw invalid_params("bind", "no binding: there is no connection");
      json::Parser parser;
      nlohmann::json object = nlohmann::json::parse(json.str());
      object["name"] = name;
      auto pool = json::decode<PoolSpec>(parser.parse_copy(object.dump()));
      std::erase_if(loaded_.config.pools, [&name](const PoolSpec& each) { return each.name == name; });
      loaded_.config.pools.push_back(std::move(pool));
      loaded_.pool_origins[name] = file + ":" + std::to_string(where.begin.line);
    } catch (const Error& error) {
      const std::string field = error.field.value_or("");
      const std::string first = field.substr(0, field.find_first_of(".["));
      const toml::node* const wrong = table.get(first);
      if (wrong == nullptr && is_pool_field(first)) refuse(at(file, where), "'" + path + "." + field + "' is missing");
      const bool unknown = error.expected && wrong != nullptr && !is_pool_field(first);
      std::string text =
          unknown ? "unknown key '" + path + "." + field + "'"
                  : "'" + path + (field.empty() ? "" : "." + field) + "' must be " + error.expected.value_or(error.message());
      if (error.nearest) text += " (did you mean '" + *error.nearest + "'?)";
      refuse(wrong == nullptr ? at(file, where) : at(file, wrong->source()), text);
    }
  }

  static bool is_pool_field(std::string_view name) {
    const auto& names = json::Codec<PoolSpec>::names;
    return std::ranges::find(names, name) != names.end();
  }

  std::string& origin_of(const Key& key) { return loaded_.origins[static_cast<std::size_t>(&key - keys().data())]; }

  Loaded loaded_;
};

}  // namespace

const std::string& Loaded::origin(std::string_view name) const {
  return origins[static_cast<std::size_t>(find_key(name) - keys().data())];
}

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view pair(*entry);
    const auto equals = pair.find('=');
    if (equals != std::string_view::npos) environment.emplace(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return environment;
}

Files config_files(const Options& options) {
  if (options.config_file) return {.optional = {}, .required = {*options.config_file}};
  Files files{.optional = {"/etc/stint/personal.toml"}, .required = {}};
  if (const auto directory = default_config_dir(); !directory.empty()) files.optional.push_back(directory / "stint.toml");
  return files;
}

Loaded load(const Options& options, const Environment& environment) { return load(options, environment, config_files(options)); }

Loaded load(const Options& options, const Environment& environment, const Files& files) {
  Loader loader;
  for (const auto& file : files.optional) loader.read_file(file, false);
  for (const auto& file : files.required) loader.read_file(file, true);
  loader.read_environment(environment);
  for (const FlagSetting& setting : options.settings) loader.apply_flag(setting);
  return loader.take();
}

std::string print(const Loaded& loaded) {
  std::string text;
  std::string_view section;
  for (std::size_t at = 0; at < keys().size(); ++at) {
    const Key& key = keys()[at];
    const auto dot = key.name.find('.');
    const auto table = dot == std::string_view::npos ? std::string_view{} : key.name.substr(0, dot);
    if (table != section) text.append(text.empty() ? "[" : "\n[").append(table).append("]\n");
    section = table;
    text.append(dot == std::string_view::npos ? key.name : key.name.substr(dot + 1)).append(" = ");
    text.append(to_toml(key.get(loaded.config))).append("  # ").append(loaded.origins[at]).append("\n");
  }
  for (const PoolSpec& pool : loaded.config.pools) text.append("\n").append(pool_toml(pool, loaded.pool_origins.at(pool.name)));
  return text;
}

}  // namespace stint::config
