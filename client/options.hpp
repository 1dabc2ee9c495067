// The options of one verb, and its words: what CLI11 can be trusted with, and what it cannot.
//
// CLI11 2.1 converts, checks and documents options. Which argument is an option, its value or a word is decided here,
// because CLI11 reads a positional `[a,b]` as a list, treats `{}` as an empty one, and takes the next argument for the
// value of `--name=`. Throws UsageError with the nearest known option. Nothing here prints.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/time.hpp"

namespace stint::cli {

/// Where the options of a verb end.
enum class Words {
  mixed,  ///< words and options in any order, until `--`
  last,   ///< everything from the first word on is words: a command with its own options
};

class Options {
 public:
  explicit Options(Words words);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  /// `names` as CLI11 writes them ("-j,--jobs"); targets must outlive `parse`.
  void flag(const std::string& names, bool& target, const std::string& doc);
  void text(const std::string& names, std::optional<std::string>& target, const std::string& doc, const std::string& placeholder);
  void list(const std::string& names, std::vector<std::string>& target, const std::string& doc, const std::string& placeholder);
  void number(const std::string& names, std::optional<std::uint64_t>& target, const std::string& doc, std::uint64_t min,
              std::uint64_t max);
  void integer(const std::string& names, std::optional<std::int64_t>& target, const std::string& doc, std::int64_t min,
               std::int64_t max);
  /// Seconds, or with a unit: 90, 1.5s, 250ms, 5m, 2h, 1d.
  void duration(const std::string& names, std::optional<Duration>& target, const std::string& doc);
  /// Bytes, or with a unit of 1024: 65536, 64K, 16M, 1G.
  void size(const std::string& names, std::optional<std::uint64_t>& target, const std::string& doc);
  void choice(const std::string& names, std::optional<std::string>& target, const std::string& doc,
              std::span<const std::string_view> values);
  /// Options declared from here on stand under this heading in the help.
  void heading(const std::string& title);
  /// At most one of these may be given.
  void exclusive(std::initializer_list<const char*> names);

  /// Sets the targets; returns the words. `--help` and `-h` are left to the caller: `help_wanted`.
  [[nodiscard]] std::vector<std::string> parse(std::span<const std::string> arguments);
  [[nodiscard]] bool help_wanted() const { return help_wanted_; }
  /// The list of options, as the help shows it.
  [[nodiscard]] std::string describe() const;

 private:
  struct Cli11;
  std::unique_ptr<Cli11> cli11_;
  Words words_;
  std::string heading_;
  bool help_wanted_ = false;
};

/// As `Options::duration` and `Options::size` read them; nothing where the text is neither.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace stint::cli
