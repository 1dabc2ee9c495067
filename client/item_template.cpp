#include "client/item_template.hpp"

#include <algorithm>

#include "client/failure.hpp"
#include "client/spec_options.hpp"

namespace stint::cli {
namespace {

std::string quoted(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

std::string filled(std::string_view args, std::string_view marker, std::string_view item) {
  const std::string escaped = quoted(item);
  const std::string_view inside = std::string_view(escaped).substr(1, escaped.size() - 2);
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < args.size();) {
    if (args.substr(i).starts_with(marker)) {
      out += in_string ? inside : item;
      i += marker.size();
      continue;
    }
    if (in_string && args[i] == '\\' && i + 1 < args.size())
      out += args[i++];
    else if (args[i] == '"')
      in_string = !in_string;
    out += args[i++];
  }
  return out;
}

}  // namespace

json::Raw item_json(std::string_view item, bool task, const std::optional<std::string>& args, std::string_view marker) {
  if (!task) return {quoted(item)};
  if (args) return parse_json(filled(*args, marker, item), "--args with the item '" + std::string(item) + "'");
  try {
    json::Parser parser;
    return json::raw_of(parser.parse_copy(item));
  } catch (const Error&) {
    return {quoted(item)};
  }
}

void append_marker(std::vector<std::string>& command, const std::string& marker) {
  const auto has = [&marker](const std::string& word) { return word.find(marker) != std::string::npos; };
  if (std::none_of(command.begin(), command.end(), has)) command.push_back(marker);
}

}  // namespace stint::cli
