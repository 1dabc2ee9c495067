// Every value that an administrator can set, and the one table of keys that loads, checks, documents and prints them.
//
// Values only: nothing here opens a file or asks the environment (config/load.hpp does). Durations are Duration (microseconds)
// inside and seconds in files; sizes are bytes. Any thread; the only thing thrown is std::invalid_argument, by Key::set, with
// what was expected.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/pool.hpp"
#include "common/time.hpp"

namespace stint::config {

enum class LogLevel : std::uint8_t { debug, info, warning, error };
enum class LogTarget : std::uint8_t { standard_error, file };
/// What becomes of the jobs when the daemon is told to stop by a signal.
enum class OnStop : std::uint8_t { detach, drain, cancel };

/// The settings of one daemon. What has no initialiser is filled in by `load`; ranges stand in the table of keys.
struct Config {
  std::filesystem::path socket;     ///< absolute
  std::filesystem::path state_dir;  ///< absolute

  std::uint32_t process_slots = 1;    ///< programs that run at once
  std::uint32_t process_runners = 2;  ///< worker processes that start and watch programs
  std::uint32_t process_hosts = 1;    ///< worker processes that run tasks in isolation; one task each at a time
  std::uint32_t thread_threads = 1;
  std::uint32_t coroutine_slots = 10'000;

  Duration lease_reclaim = std::chrono::seconds(10);     ///< leases stay held so long after a restart
  Duration scheduling_ageing = std::chrono::seconds(1);  ///< how much age one point of priority is worth

  std::uint32_t api_connections = 10'000;
  Duration api_send_timeout = std::chrono::seconds(30);  ///< a peer that takes none of an answer for so long is closed

  LogLevel log_level = LogLevel::info;
  LogTarget log_target = LogTarget::standard_error;
  std::uint64_t log_file_bytes = 10U << 20U;  ///< then the file is rotated
  std::uint32_t log_files = 3;                ///< rotated files that are kept beside the current one

  Duration retention_age = std::chrono::hours(7 * 24);  ///< finished jobs are kept so long, unless a bound below is passed
  std::uint64_t retention_jobs = 100'000;
  std::uint64_t retention_output_bytes = 1ULL << 30U;

  std::vector<PoolSpec> pools;  ///< by name; the tables [pools.NAME], which no flag and no variable sets

  std::optional<std::filesystem::path> plugins_directory;  ///< absolute; none: no plug-ins

  OnStop daemon_on_stop = OnStop::detach;
  Duration stop_timeout = std::chrono::seconds(60);  ///< then what still runs is killed
};

/// A value as files and people write it: an integer, seconds, or text (a path or a word).
using Value = std::variant<std::uint64_t, double, std::string>;

enum class Type : std::uint8_t { integer, seconds, path, optional_path, word };

/// One row of the table.
struct Key {
  std::string_view name;  ///< for example `process.slots`: `slots` of the table `[process]`
  Type type{};
  double min = 0;  ///< of integers and seconds
  double max = 0;
  std::span<const std::string_view> words;  ///< of a word: what it may be
  std::string_view default_text;            ///< where the default depends on the machine: what it is; else empty
  std::string_view doc;                     ///< for people, one sentence
  Value (*get)(const Config&) = nullptr;
  void (*set_unchecked)(Config&, const Value&) = nullptr;

  /// What is right for this key, for errors and documentation: "an integer from 1 to 65536".
  [[nodiscard]] std::string expected() const;
  /// Throws std::invalid_argument(expected()) where the value has another type or is out of range.
  void set(Config& config, const Value& value) const;
  /// From the text of a flag or an environment variable; throws as `set`.
  void set_text(Config& config, std::string_view text) const;
  /// The environment variable that sets it: STINTD_PROCESS_SLOTS.
  [[nodiscard]] std::string variable() const;
};

/// All keys, in the order in which they are documented and printed.
[[nodiscard]] std::span<const Key> keys();
/// The row called `name`, or null.
[[nodiscard]] const Key* find_key(std::string_view name);
/// The known key nearest to `name`, with ` (did you mean '…'?)` around it; empty where none is near.
[[nodiscard]] std::string suggestion(std::string_view name);

/// The value as it stands in TOML.
[[nodiscard]] std::string to_toml(const Value& value);
/// The commented `stint.toml` that is shipped: every key, its meaning, range and default.
[[nodiscard]] std::string documented_toml();

}  // namespace stint::config
