// Printing records: a table on a terminal, tab-separated full values in a pipe, JSON, or a format of the user's own.
//
// One Renderer a listing: `add` each record, `finish` once. Rows are held back until their columns are known (a page), or
// printed at once where the listing is live. Control characters in values never reach a terminal. Throws Failure where
// standard output cannot be written.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/options.hpp"

namespace stint::cli {

/// --json, --jsonl, --format, as a verb that prints declares them.
struct OutputForm {
  bool json = false;
  bool jsonl = false;
  std::optional<std::string> format;

  void declare(Options& options);
  /// The user asked for something that is not the usual text.
  [[nodiscard]] bool chosen() const { return json || jsonl || format.has_value(); }
};

/// A column of a table. `text` is for people; in a pipe stands `value`, or `text` where there is none.
struct Column {
  std::string_view title;
  std::string (*text)(const nlohmann::json& record);
  std::string (*value)(const nlohmann::json& record) = nullptr;
  std::size_t live_width = 0;  ///< in a listing that is printed row by row
  bool right = false;
  bool status = false;  ///< coloured by what it says
};

class Renderer {
 public:
  enum class Pace { paged, live };

  /// `identity`: with -q only this column's value is printed, a line each.
  Renderer(OutputForm form, std::span<const Column> table, Pace pace, bool only_first);

  void add(const nlohmann::json& record);
  void finish();

 private:
  void add_row(const nlohmann::json& record);
  void print_rows();
  [[nodiscard]] std::string line_of(const std::vector<std::string>& cells, bool heading) const;

  OutputForm form_;
  std::span<const Column> table_;
  Pace pace_;
  bool only_first_;
  bool terminal_;
  bool colour_;
  std::size_t columns_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
  bool heading_printed_ = false;
  bool json_open_ = false;
};

/// `{id} {stdout.bytes}\n`: fields by dotted path; `{code}` is the exit code; `{{`, `\t`, `\n`, `\\` and `\0` as usual.
[[nodiscard]] std::string formatted(std::string_view format, const nlohmann::json& record);

/// Prints one document: pretty on a terminal, a line in a pipe.
void print_document(const nlohmann::json& document);
/// The document as the chosen form wants it; for answers that are one object.
void print_object(const OutputForm& form, const nlohmann::json& object);
/// Key and value a line: aligned on a terminal, with times by the clock; tab-separated in a pipe, as they are. Nested objects
/// become dotted keys.
void print_fields(const nlohmann::json& object);

[[nodiscard]] std::string duration_text(double seconds);
/// How long ago a time (seconds since the epoch) was.
[[nodiscard]] std::string age_text(double since_epoch);
/// A time (seconds since the epoch) by the clock of this place, to the second.
[[nodiscard]] std::string clock_text(double since_epoch);
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);

/// The columns in which jobs are shown.
[[nodiscard]] std::span<const Column> job_columns();
[[nodiscard]] std::span<const Column> result_columns();

}  // namespace stint::cli
