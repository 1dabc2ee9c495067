#include "common/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/error.hpp"
#include "common/limits.hpp"

namespace stint::json {
namespace {

constexpr std::size_t keep_bytes = limits::inline_decode_bytes_max;

/// Finds the offset of a syntax error, which simdjson does not tell. Slow path: only text that was refused comes here.
class OffsetFinder : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::uint64_t offset = 0;
  std::string what;
  bool too_deep = false;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return enter(); }
  bool key(string_t&) override { return true; }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    offset = position > 0 ? position - 1 : 0;
    what = error.what();
    return false;
  }

 private:
  bool enter() {
    too_deep = ++depth_ > limits::depth_levels_max;
    return !too_deep;
  }
  bool leave() {
    --depth_;
    return true;
  }
  std::size_t depth_ = 0;
};

Error too_deep() {
  return limit_exceeded("the request is nested more than " + std::to_string(limits::depth_levels_max) + " levels deep",
                        "depth_levels_max", limits::depth_levels_max);
}

/// Where the first number stands that no 64 bits can hold, in text that is well-formed up to `end`; JSON itself has no
/// bounds on numbers, so the other parser takes some of them.
std::optional<std::uint64_t> out_of_range_number(std::string_view text, std::size_t end) {
  bool in_string = false;
  for (std::size_t at = 0; at < end;) {
    const char c = text[at];
    if (in_string) {
      in_string = c != '"';
      at += c == '\\' ? 2 : 1;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      const std::size_t stop = std::min(text.find_first_not_of("+-.eE0123456789", at), text.size());
      const std::string_view number = text.substr(at, stop - at);
      const auto fits = [number](auto value) {
        return std::from_chars(number.data(), number.data() + number.size(), value).ec != std::errc::result_out_of_range;
      };
      const bool real = number.find_first_of(".eE") != std::string_view::npos;
      // Too small for a double is not an error: it reads as 0.
      const bool tiny = real && number.find("e-") != std::string_view::npos;
      const bool good = real ? tiny || fits(double{}) : number.front() == '-' ? fits(std::int64_t{}) : fits(std::uint64_t{});
      if (!good) return at;
      at = stop;
    } else {
      in_string = c == '"';
      ++at;
    }
  }
  return std::nullopt;
}

[[noreturn]] void throw_parse_error(std::string_view text, simdjson::error_code code) {
  if (code == simdjson::MEMALLOC) throw unavailable("out of memory while reading a request", "memory");
  OffsetFinder finder;
  const bool accepted = nlohmann::json::sax_parse(text.begin(), text.end(), &finder);
  if (finder.too_deep) throw too_deep();
  const auto number = out_of_range_number(text, accepted ? text.size() : finder.offset);
  Error error(ErrorKind::parse_error, number ? "a number is out of range: integers must fit into 64 bits, others into a double"
                                             : "not JSON: " + std::string(simdjson::error_message(code)));
  error.offset = number ? *number : finder.offset;
  throw error;
}

/// A segment of the path to a value, on the stack of the walk: a key, or a place in a list.
struct Step {
  const Step* parent;
  std::string_view key;
  std::optional<std::size_t> index = std::nullopt;
  std::size_t level = parent == nullptr ? 2 : parent->level + 1;  ///< nesting of what stands here, the document being 1
};

std::string path_of(const Step* step) {
  if (step == nullptr) return {};
  std::string parent = path_of(step->parent);
  if (step->index) return parent + "[" + std::to_string(*step->index) + "]";
  if (parent.empty()) return std::string(step->key);
  return parent + "." + std::string(step->key);
}

void refuse_double_keys(Value value, const Step* path);

void refuse_double_keys_of(simdjson::dom::object object, const Step* path) {
  constexpr std::size_t small = 16;
  std::array<std::string_view, small> seen;
  std::vector<std::string_view> many;
  std::size_t count = 0;
  const auto refuse = [path](std::string_view key) {
    const Step step{path, key};
    throw invalid_params(path_of(&step), "each key at most once in an object; this one stands twice");
  };
  for (const auto& [key, child] : object) {
    if (count < small) {
      auto* end = seen.begin() + count;
      if (std::find(seen.begin(), end, key) != end) refuse(key);
      seen[count] = key;
    } else {
      if (count == small) many.assign(seen.begin(), seen.end());
      many.push_back(key);
    }
    ++count;
    if (child.is_object() || child.is_array()) {
      const Step step{path, key};
      refuse_double_keys(child, &step);
    }
  }
  if (count > small) {
    std::ranges::sort(many);
    if (const auto twice = std::ranges::adjacent_find(many); twice != many.end()) refuse(*twice);
  }
}

void refuse_double_keys(Value value, const Step* path) {
  // simdjson does not count what is empty.
  if (path != nullptr && path->level > limits::depth_levels_max) throw too_deep();
  simdjson::dom::object object;
  simdjson::dom::array array;
  if (value.get(object) == simdjson::SUCCESS) {
    refuse_double_keys_of(object, path);
  } else if (value.get(array) == simdjson::SUCCESS) {
    std::size_t index = 0;
    for (Value child : array) {
      if (child.is_object() || child.is_array()) {
        const Step step{path, {}, index};
        refuse_double_keys(child, &step);
      }
      ++index;
    }
  }
}

/// Room for a comma, any number and a fraction.
using Digits = std::array<char, 40>;

/// Writes the digits at `at`; returns where they end.
template <class Number, class... Format>
std::size_t put_number(Digits& piece, std::size_t at, Number value, Format... format) {
  const auto result = std::to_chars(piece.data() + at, piece.data() + piece.size(), value, format...);
  return static_cast<std::size_t>(result.ptr - piece.data());
}

constexpr std::array<bool, 256> needs_escape = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = 0; c < 0x20; ++c) table[c] = true;
  table['"'] = table['\\'] = true;
  return table;
}();

/// What needs a closer look: an escape, or a part of a longer UTF-8 sequence.
constexpr std::array<bool, 256> special = [] {
  auto table = needs_escape;
  for (std::size_t c = 0x80; c < table.size(); ++c) table[c] = true;
  return table;
}();

void append_escaped(std::string& out, std::string_view text) {
  std::size_t clean = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (!needs_escape[c]) continue;
    out.append(text.substr(clean, i - clean));
    clean = i + 1;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default: {
        constexpr std::string_view hex = "0123456789abcdef";
        out += "\\u00";
        out += hex[c >> 4U];
        out += hex[c & 15U];
      }
    }
  }
  out.append(text.substr(clean));
}

/// Length of the valid UTF-8 sequence at the start of `text`, 0 where there is none (RFC 3629).
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 && first < 0xF5   ? 4
                             : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xC2 && first < 0xE0 ? 2
                                                             : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
  }
  const unsigned char second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second > 0x9F;
  const bool beyond = first == 0xF4 && second > 0x8F;
  return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace

Value Parser::parse(std::string_view text) {
  // One large line must not keep its tape, which is many times its size, for the life of the parser.
  const bool spacious = parser_.capacity() > keep_bytes && text.size() <= keep_bytes;
  if (spacious) parser_ = simdjson::dom::parser();
  if (parser_.capacity() < text.size() || parser_.max_depth() != limits::depth_levels_max + 1) {
    // simdjson counts the root document as a level.
    if (parser_.allocate(std::max<std::size_t>(text.size(), 1024), limits::depth_levels_max + 1) != simdjson::SUCCESS) {
      throw unavailable("out of memory while reading a request", "memory");
    }
  }
  Value value;
  const auto code = parser_.parse(text.data(), text.size(), false).get(value);
  if (code != simdjson::SUCCESS) throw_parse_error(text, code);
  refuse_double_keys(value, nullptr);
  return value;
}

Value Parser::parse_copy(std::string_view text) {
  if (copy_.capacity() > keep_bytes && text.size() <= keep_bytes) copy_ = std::string();
  copy_.assign(text);
  copy_.resize(text.size() + padding_bytes);
  return parse(std::string_view(copy_).substr(0, text.size()));
}

bool is_utf8(std::string_view text) noexcept { return simdjson::validate_utf8(text.data(), text.size()); }

std::string to_utf8(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
    } else {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return out;
}

Raw raw_of(Value value) {
  // simdjson writes doubles so that they read back the same; integers and strings are exact.
  return Raw{simdjson::minify(value)};
}

nlohmann::json to_nlohmann(const Raw& raw) { return nlohmann::json::parse(raw.text); }

Raw from_nlohmann(const nlohmann::json& value) {
  return Raw{value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

void append_string(std::string& out, std::string_view text) {
  // Nearly every string is short and plain: one look at each byte is cheaper than a call that judges the whole.
  constexpr std::size_t short_bytes = 48;
  if (text.size() <= short_bytes && std::ranges::none_of(text, [](char c) { return special[static_cast<unsigned char>(c)]; })) {
    std::array<char, short_bytes + 2> quoted;
    quoted[0] = '"';
    text.copy(quoted.data() + 1, text.size());
    quoted[text.size() + 1] = '"';
    out.append(quoted.data(), text.size() + 2);
    return;
  }
  out += '"';
  if (is_utf8(text)) {
    append_escaped(out, text);
  } else {
    append_escaped(out, to_utf8(text));
  }
  out += '"';
}

void Writer::string(std::string_view text) {
  separate();
  append_string(out_, text);
}

void Writer::integer(std::int64_t value) {
  Digits piece{','};
  append(piece.data(), put_number(piece, 1, value));
}

void Writer::unsigned_integer(std::uint64_t value) {
  Digits piece{','};
  append(piece.data(), put_number(piece, 1, value));
}

void Writer::real(double value) {
  if (!std::isfinite(value)) return null();
  Digits piece{','};
  // Without an exponent a large value would read as an integer that no 64 bits hold.
  constexpr double plain_max = 1e15;
  append(piece.data(),
         std::abs(value) < plain_max ? put_number(piece, 1, value) : put_number(piece, 1, value, std::chars_format::scientific));
}

void Writer::seconds(Duration value) {
  Digits piece{',', '-'};
  const std::int64_t micros = value.count();
  const auto magnitude = micros < 0 ? 0 - static_cast<std::uint64_t>(micros) : static_cast<std::uint64_t>(micros);
  std::size_t size = put_number(piece, micros < 0 ? 2 : 1, magnitude / 1'000'000);
  if (auto fraction = magnitude % 1'000'000; fraction != 0) {
    constexpr std::size_t places = 6;
    for (std::size_t i = places; i > 0; --i, fraction /= 10) piece[size + i] = static_cast<char>('0' + fraction % 10);
    piece[size] = '.';
    size += places + 1;
    while (piece[size - 1] == '0') --size;
  }
  append(piece.data(), size);
}

}  // namespace stint::json
