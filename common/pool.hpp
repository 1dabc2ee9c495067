// What a pool is, as clients, the configuration, the core and the executors speak of it: PROTOCOL sections 5 and 6.
//
// PoolSpec is the field list of pool.set. Values only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "common/json_map.hpp"
#include "common/limits.hpp"
#include "common/time.hpp"

namespace stint {

/// What a pool ends with; without it, it lasts until pool.remove.
enum class PoolBinding : std::uint8_t { connection };

}  // namespace stint

namespace stint::json {
template <>
struct EnumNames<PoolBinding> {
  static constexpr std::array<std::string_view, 1> names{"connection"};
};
}  // namespace stint::json

namespace stint {

/// A pool of long-lived workers, all of one program, each of which does one message at a time.
struct PoolSpec {
  std::string name;
  std::vector<std::string> command;
  std::uint32_t size = 1;  ///< workers at most, and so messages at once
  std::optional<std::string> cwd;
  std::map<std::string, std::string> env;  ///< laid over the user's basic one
  std::optional<std::uint64_t> max_jobs;   ///< a worker that has answered so many is replaced
  std::optional<Duration> idle_timeout;    ///< a worker that has nothing to do for so long ends
  std::optional<PoolBinding> bind;

  bool operator==(const PoolSpec&) const = default;

  static constexpr auto fields() {
    using json::optional;
    using json::Range;
    using json::required;
    return std::tuple{
        required("name", &PoolSpec::name, "what jobs call it", Range{1, limits::name_bytes_max}),
        required("command", &PoolSpec::command, "the worker: a program with its arguments; no shell is involved",
                 Range{1, limits::command_elements_max}),
        required("size", &PoolSpec::size, "workers at most, and so messages at once", Range{1, limits::pool_size_max}),
        optional("cwd", &PoolSpec::cwd, "working directory, absolute; default the user's home", Range{1, limits::path_bytes_max}),
        optional("env", &PoolSpec::env, "environment laid over the user's basic one", Range{0, limits::env_entries_max}),
        optional("max_jobs", &PoolSpec::max_jobs, "a worker that has answered so many is replaced",
                 Range{1, limits::pool_jobs_max}),
        optional("idle_timeout", &PoolSpec::idle_timeout, "a worker that has had nothing to do for so long ends",
                 Range{0.001, limits::duration_seconds_max}),
        optional("bind", &PoolSpec::bind, "\"connection\": it is gone with the connection that set it")};
  }
  /// Throws `invalid_params` for what no single field can tell.
  void validate(const json::Path& path) const;
};

}  // namespace stint
