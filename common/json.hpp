// JSON text in and out: strict parsing into a read-only view, and a writer that appends to a string.
//
// The hot path never builds a tree of its own: requests are read from simdjson's tape straight into typed structs
// (common/json_map.hpp) and answers are appended to their outbox. nlohmann::json is for values that people program
// against: task arguments and results, and the client. Nothing here may be shared between threads.
#pragma once

#include <simdjson.h>

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "common/time.hpp"

namespace stint::json {

/// Readable bytes that must follow the text given to `Parser::parse`.
inline constexpr std::size_t padding_bytes = simdjson::SIMDJSON_PADDING;

/// A value inside a parsed document; valid until the parser is used again.
using Value = simdjson::dom::element;

/// Encoded JSON that is passed through without being looked into (arguments, results, items).
struct Raw {
  std::string text;  ///< valid JSON, minified
  bool operator==(const Raw&) const = default;
};

/// Parses one document strictly: UTF-8, at most limits::depth_levels_max deep, no key twice in one object.
class Parser {
 public:
  /// `text` must be followed by `padding_bytes` readable bytes. Throws Error: `parse_error` with the byte offset, or
  /// `invalid_params` for a key that stands twice (its `field` is the path).
  [[nodiscard]] Value parse(std::string_view text);
  /// The same for text without padding behind it; copies it.
  [[nodiscard]] Value parse_copy(std::string_view text);

  /// The longest text that fits without allocating; shrinks with the first short text after a long one.
  [[nodiscard]] std::size_t capacity() const { return parser_.capacity(); }

 private:
  simdjson::dom::parser parser_;
  std::string copy_;
};

/// True where `text` can be inside a JSON string as it is.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;
/// `text` with each byte that is not part of valid UTF-8 replaced by U+FFFD.
[[nodiscard]] std::string to_utf8(std::string_view text);

/// The value as text: a minified copy.
[[nodiscard]] Raw raw_of(Value value);
[[nodiscard]] nlohmann::json to_nlohmann(const Raw& raw);
[[nodiscard]] Raw from_nlohmann(const nlohmann::json& value);

/// Appends `text` as a JSON string with quotes; invalid UTF-8 becomes U+FFFD.
void append_string(std::string& out, std::string_view text);

/// Appends one JSON document to a string. Commas are its own business; keys and values are the caller's:
///
///     Writer w(out);
///     w.begin_object(); w.key("id"); w.integer(7); w.end_object();
class Writer {
 public:
  static constexpr std::size_t key_bytes_max = 44;

  explicit Writer(std::string& out) : out_(out) {}

  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }

  /// `name` must need no escape and have at most `key_bytes_max` bytes; every key that the code itself names is such.
  /// Inline, because a literal is then put together by the compiler.
  [[gnu::always_inline]] void key(std::string_view name) {
    std::array<char, key_bytes_max + 4> piece;
    piece[0] = ',';
    piece[1] = '"';
    name.copy(piece.data() + 2, key_bytes_max);
    piece[name.size() + 2] = '"';
    piece[name.size() + 3] = ':';
    append(piece.data(), name.size() + 4);
    fresh_ = true;
  }
  /// A key that a user chose.
  void user_key(std::string_view name) {
    separate();
    append_string(out_, name);
    out_ += ':';
    fresh_ = true;
  }

  void string(std::string_view text);
  void integer(std::int64_t value);
  void unsigned_integer(std::uint64_t value);
  void real(double value);  ///< not finite becomes null
  void boolean(bool value) {
    separate();
    out_ += value ? "true" : "false";
  }
  void null() {
    separate();
    out_ += "null";
  }
  /// Seconds with up to six digits of fraction.
  void seconds(Duration value);
  void seconds(Time value) { seconds(value.time_since_epoch()); }
  /// Text that is valid JSON already.
  void raw(std::string_view json) {
    separate();
    out_ += json;
  }
  /// The next value is appended directly by the caller, with this as its place.
  std::string& raw_place() {
    separate();
    return out_;
  }

 private:
  void separate() {
    if (!fresh_) out_ += ',';
    fresh_ = false;
  }
  /// Appends a value or key that stands behind a comma in `piece`, with it or without; at once, because a call to the
  /// string costs more than what it copies here.
  void append(const char* piece, std::size_t size) {
    const std::size_t from = fresh_ ? 1 : 0;
    out_.append(piece + from, size - from);
    fresh_ = false;
  }
  void open(char bracket) {
    separate();
    out_ += bracket;
    fresh_ = true;
  }
  void close(char bracket) {
    out_ += bracket;
    fresh_ = false;
  }

  std::string& out_;
  bool fresh_ = true;  // nothing stands before the next value that needs a comma
};

}  // namespace stint::json
