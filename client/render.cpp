#include "client/render.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "client/failure.hpp"
#include "client/record.hpp"
#include "client/terminal.hpp"

namespace stint::cli {
namespace {

constexpr std::size_t page_rows = 1'000;
constexpr std::size_t gap = 2;

std::string dumped(const nlohmann::json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// The colour of a status word; empty for what is neither good nor bad.
std::string_view colour_of(std::string_view status) {
  if (status == "succeeded") return "\x1b[32m";
  if (status == "failed" || status == "lost" || status == "timed_out") return "\x1b[31m";
  if (status == "running" || status == "starting") return "\x1b[36m";
  if (status == "cancelled" || status == "stopping" || status == "skipped" || status == "expired") return "\x1b[33m";
  return {};
}

std::string in_pipe(const Column& column, const nlohmann::json& record) {
  return printable(column.value != nullptr ? column.value(record) : column.text(record));
}

}  // namespace

void OutputForm::declare(Options& options) {
  options.heading("Output");
  options.flag("--json", json, "one JSON document");
  options.flag("--jsonl", jsonl, "a JSON object a line");
  options.text("--format", format, R"(a line each, for example '{id} {name} {stdout.bytes}'; {code} is the exit code)", "TEXT");
  options.exclusive({"--json", "--jsonl", "--format"});
}

Renderer::Renderer(OutputForm form, std::span<const Column> table, Pace pace, bool only_first)
    : form_(std::move(form)),
      table_(table),
      pace_(pace),
      only_first_(only_first),
      terminal_(is_terminal(STDOUT_FILENO)),
      colour_(takes_colour(STDOUT_FILENO)),
      columns_(terminal_ ? columns(STDOUT_FILENO) : 0) {}

void Renderer::add(const nlohmann::json& record) {
  if (form_.json) {
    print((json_open_ ? ",\n" : "[") + dumped(record, -1));
    json_open_ = true;
  } else if (form_.jsonl) {
    print(dumped(record, -1) + "\n");
  } else if (form_.format) {
    print(formatted(*form_.format, record) + "\n");
  } else if (only_first_) {
    print(in_pipe(table_.front(), record) + "\n");
  } else {
    add_row(record);
  }
}

void Renderer::add_row(const nlohmann::json& record) {
  if (!terminal_) {
    std::string line;
    for (const auto& column : table_) line += (line.empty() && &column == table_.data() ? "" : "\t") + in_pipe(column, record);
    print(line + "\n");
    return;
  }
  std::vector<std::string> cells;
  for (const auto& column : table_) cells.push_back(printable(column.text(record)));
  rows_.push_back(std::move(cells));
  if (pace_ == Pace::live || rows_.size() >= page_rows) print_rows();
}

void Renderer::finish() {
  if (form_.json) print(json_open_ ? "]\n" : "[]\n");
  print_rows();
}

std::string Renderer::line_of(const std::vector<std::string>& cells, bool heading) const {
  std::string line;
  std::size_t used = 0;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const bool last = i + 1 == cells.size();
    const std::size_t room = columns_ > used ? columns_ - used : 1;
    const std::string cell = last ? shortened(cells[i], room) : cells[i];
    const std::size_t width = std::max(widths_[i], display_width(cell));
    const std::string padding(width - display_width(cell), ' ');
    const std::string_view colour = colour_ && !heading && table_[i].status ? colour_of(cells[i]) : std::string_view();
    if (table_[i].right) line += padding;
    line += std::string(colour) + cell + (colour.empty() ? "" : "\x1b[0m");
    if (last) break;
    if (!table_[i].right) line += padding;
    line.append(gap, ' ');
    used += width + gap;
  }
  if (heading && colour_) line = "\x1b[1m" + line + "\x1b[0m";
  return line + "\n";
}

void Renderer::print_rows() {
  if (rows_.empty()) return;
  std::vector<std::string> titles;
  for (const auto& column : table_) titles.emplace_back(column.title);
  if (widths_.empty()) {
    for (std::size_t i = 0; i < table_.size(); ++i) {
      widths_.push_back(std::max(display_width(titles[i]), pace_ == Pace::live ? table_[i].live_width : 0));
    }
  }
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size() && pace_ == Pace::paged; ++i) widths_[i] = std::max(widths_[i], display_width(row[i]));
  }
  std::string text;
  if (!heading_printed_) text = line_of(titles, true);
  heading_printed_ = true;
  for (const auto& row : rows_) text += line_of(row, false);
  rows_.clear();
  print(text);
}

std::string formatted(std::string_view format, const nlohmann::json& record) {
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    const char next = i + 1 < format.size() ? format[i + 1] : '\0';
    if ((c == '{' || c == '}') && next == c) {
      out += c;
      ++i;
    } else if (c == '{') {
      const auto end = format.find('}', i);
      if (end == std::string_view::npos) throw UsageError("--format: a '{' without its '}'; a literal one is '{{'");
      const auto path = format.substr(i + 1, end - i - 1);
      out += path == "code" ? std::to_string(exit_code_of(record)) : text_at(record, path);
      i = end;
    } else if (c == '\\' && next != '\0' && std::string_view("tn0\\").find(next) != std::string_view::npos) {
      out += next == 't' ? '\t' : next == 'n' ? '\n' : next == '0' ? '\0' : '\\';
      ++i;
    } else {
      out += c;
    }
  }
  return out;
}

void print_document(const nlohmann::json& document) {
  constexpr int spaces = 2;
  print(dumped(document, is_terminal(STDOUT_FILENO) ? spaces : -1) + "\n");
}

void print_object(const OutputForm& form, const nlohmann::json& object) {
  if (form.format) {
    print(formatted(*form.format, object) + "\n");
  } else if (form.jsonl) {
    print(dumped(object, -1) + "\n");
  } else if (form.json) {
    print_document(object);
  } else {
    print_fields(object);
  }
}

namespace {

/// What a person reads where a script gets the value itself.
std::string shown(const std::string& key, const nlohmann::json& value, bool terminal) {
  if (terminal && key.ends_with("_at") && value.is_number()) return clock_text(value.get<double>());
  return value.is_string() ? value.get<std::string>() : dumped(value, -1);
}

void flatten(const nlohmann::json& object, const std::string& prefix, bool terminal,
             std::vector<std::pair<std::string, std::string>>& out) {
  for (const auto& [key, value] : object.items()) {
    const std::string path = prefix.empty() ? key : prefix + "." + key;
    if (value.is_object() && !value.empty() && key != "args" && key != "result") {
      flatten(value, path, terminal, out);
    } else if (key == "command") {
      out.emplace_back(path, shell_words(value));
    } else {
      out.emplace_back(path, shown(key, value, terminal));
    }
  }
}

}  // namespace

void print_fields(const nlohmann::json& object) {
  const bool terminal = is_terminal(STDOUT_FILENO);
  std::vector<std::pair<std::string, std::string>> fields;
  flatten(object, "", terminal, fields);
  std::size_t width = 0;
  for (const auto& [key, value] : fields) width = std::max(width, display_width(key));
  std::string text;
  for (const auto& [key, value] : fields) {
    text += printable(key);
    if (terminal) {
      text.append(width - display_width(key) + gap, ' ');
    } else {
      text += '\t';
    }
    text += printable(value) + "\n";
  }
  print(text);
}

}  // namespace stint::cli
