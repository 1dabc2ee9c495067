// One field list a message: it decodes, encodes, validates and documents.
//
// A message is a struct with a static `fields()` that returns a tuple of rows:
//
//     struct Point {
//       int x = 0;
//       std::optional<std::string> label;
//       static constexpr auto fields() {
//         return std::tuple{json::required("x", &Point::x, "abscissa", json::Range{-1000, 1000}),
//                           json::optional("label", &Point::label, "what stands beside it")};
//       }
//     };
//
// Requests are strict: an unknown field, a wrong type, a value out of range and a missing field are Errors of kind
// `invalid_params` that carry the path of the field. Other types take part by specialising Codec.
#pragma once

#include <array>
#include <concepts>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/json.hpp"
#include "common/limits.hpp"
#include "common/nearest.hpp"
#include "common/time.hpp"

namespace stint::json {

/// Where a value stands, for errors: a chain on the stack, made into text only when something is wrong.
struct Path {
  const Path* parent = nullptr;
  std::string_view key = {};
  std::size_t index = 0;
  bool is_index = false;

  [[nodiscard]] Path field(std::string_view name) const { return {this, name, 0, false}; }
  [[nodiscard]] Path element(std::size_t at) const { return {this, {}, at, true}; }
  /// For example `job.tags[2]`.
  [[nodiscard]] std::string text() const;
};

[[noreturn]] void refuse(const Path& path, std::string expected);

/// Inclusive bounds: of a number its value, of a string its bytes, of a list its elements.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
};

enum class Presence : std::uint8_t { required, optional };

template <class Owner, class T>
struct Field {
  std::string_view name;
  T Owner::*member;
  std::string_view doc;
  Presence presence;
  Range range;
};

/// A field that the protocol has and this version does not serve yet: refused as `unavailable`, never ignored.
struct LaterField {
  std::string_view name;
};

template <class Owner, class T>
constexpr Field<Owner, T> required(std::string_view name, T Owner::*member, std::string_view doc, Range range = {}) {
  return {name, member, doc, Presence::required, range};
}
template <class Owner, class T>
constexpr Field<Owner, T> optional(std::string_view name, T Owner::*member, std::string_view doc, Range range = {}) {
  return {name, member, doc, Presence::optional, range};
}
constexpr LaterField later(std::string_view name) { return {name}; }

template <class T>
concept Message = requires {
  T::fields();
};

/// Names of an enumeration's values, in order: specialise with `static constexpr std::array<std::string_view, N> names`.
template <class T>
struct EnumNames;
template <class T>
concept NamedEnum = std::is_enum_v<T> && requires {
  EnumNames<T>::names;
};

template <NamedEnum T>
[[nodiscard]] constexpr std::string_view enum_name(T value) {
  return EnumNames<T>::names[static_cast<std::size_t>(value)];
}
template <NamedEnum T>
[[nodiscard]] constexpr std::optional<T> enum_value(std::string_view name) {
  for (std::size_t i = 0; i < EnumNames<T>::names.size(); ++i) {
    if (EnumNames<T>::names[i] == name) return static_cast<T>(i);
  }
  return std::nullopt;
}

/// How a type is read, written and described. `Range` is applied by the codec because it knows what is measured.
template <class T>
struct Codec;

template <class T>
[[nodiscard]] T decode(Value value, const Path& path = {}, Range range = {}) {
  return Codec<T>::read(value, path, range);
}
template <class T>
void encode(Writer& writer, const T& value) {
  Codec<T>::write(writer, value);
}
template <class T>
[[nodiscard]] std::string encode_text(const T& value) {
  std::string out;
  Writer writer(out);
  Codec<T>::write(writer, value);
  return out;
}
/// JSON Schema of a type, for documentation.
template <class T>
[[nodiscard]] nlohmann::json describe(Range range = {}) {
  return Codec<T>::describe(range);
}

namespace detail {

[[nodiscard]] std::string range_text(Range range, std::string_view what);
[[nodiscard]] std::string name_list(std::span<const std::string_view> names);
void describe_range(nlohmann::json& schema, Range range, std::string_view minimum, std::string_view maximum);
[[nodiscard]] std::int64_t read_integer(Value value, const Path& path, Range range);
[[nodiscard]] double read_number(Value value, const Path& path, Range range, std::string_view what);
[[nodiscard]] std::string_view read_string(Value value, const Path& path, Range range);
[[noreturn]] void refuse_unknown(const Path& path, std::span<const std::string_view> known);
[[noreturn]] void refuse_later(const Path& path);
[[noreturn]] void refuse_missing(const Path& path);

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

}  // namespace detail

template <>
struct Codec<bool> {
  static bool read(Value value, const Path& path, Range) {
    bool out = false;
    if (value.get(out) != simdjson::SUCCESS) refuse(path, "true or false");
    return out;
  }
  static void write(Writer& writer, bool value) { writer.boolean(value); }
  static nlohmann::json describe(Range) { return {{"type", "boolean"}}; }
};

template <std::integral T>
struct Codec<T> {
  static Range clamp(Range range) {
    constexpr auto exact = static_cast<double>(limits::id_max);
    range.min = std::max({range.min, static_cast<double>(std::numeric_limits<T>::min()), -exact});
    range.max = std::min({range.max, static_cast<double>(std::numeric_limits<T>::max()), exact});
    return range;
  }
  static T read(Value value, const Path& path, Range range) {
    return static_cast<T>(detail::read_integer(value, path, clamp(range)));
  }
  static void write(Writer& writer, T value) {
    if constexpr (std::signed_integral<T>) {
      writer.integer(value);
    } else {
      writer.unsigned_integer(value);
    }
  }
  static nlohmann::json describe(Range range) {
    nlohmann::json schema{{"type", "integer"}};
    detail::describe_range(schema, clamp(range), "minimum", "maximum");
    return schema;
  }
};

template <>
struct Codec<double> {
  static double read(Value value, const Path& path, Range range) { return detail::read_number(value, path, range, "number"); }
  static void write(Writer& writer, double value) { writer.real(value); }
  static nlohmann::json describe(Range range) {
    nlohmann::json schema{{"type", "number"}};
    detail::describe_range(schema, range, "minimum", "maximum");
    return schema;
  }
};

/// A duration in seconds, 0 … ten years.
template <>
struct Codec<Duration> {
  static Range clamp(Range range) { return {std::max(range.min, 0.0), std::min(range.max, limits::duration_seconds_max)}; }
  static Duration read(Value value, const Path& path, Range range) {
    return from_seconds(detail::read_number(value, path, clamp(range), "number of seconds"));
  }
  static void write(Writer& writer, Duration value) { writer.seconds(value); }
  static nlohmann::json describe(Range range) {
    nlohmann::json schema{{"type", "number"}, {"description", "seconds"}};
    detail::describe_range(schema, clamp(range), "minimum", "maximum");
    return schema;
  }
};

/// Seconds since the epoch.
template <>
struct Codec<Time> {
  static Time read(Value value, const Path& path, Range) {
    return Time{from_seconds(detail::read_number(value, path, {0, 1e11}, "number of seconds since the epoch"))};
  }
  static void write(Writer& writer, Time value) { writer.seconds(value); }
  static nlohmann::json describe(Range) { return {{"type", "number"}, {"description", "seconds since the epoch"}}; }
};

/// A string without NUL bytes; 16 MiB at most (the line's own bound) where no range says less.
template <>
struct Codec<std::string> {
  static std::string read(Value value, const Path& path, Range range) {
    return std::string(detail::read_string(value, path, range));
  }
  static void write(Writer& writer, const std::string& value) { writer.string(value); }
  static nlohmann::json describe(Range range) {
    nlohmann::json schema{{"type", "string"}};
    detail::describe_range(schema, range, "minLength", "maxLength");
    return schema;
  }
};

template <>
struct Codec<Raw> {
  static Raw read(Value value, const Path&, Range) { return raw_of(value); }
  static void write(Writer& writer, const Raw& value) { writer.raw(value.text); }
  static nlohmann::json describe(Range) { return nlohmann::json::object(); }
};

template <NamedEnum T>
struct Codec<T> {
  static T read(Value value, const Path& path, Range) {
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS) {
      if (const auto found = enum_value<T>(text)) return *found;
    }
    Error error = invalid_params(path.text(), "one of " + detail::name_list(EnumNames<T>::names));
    error.nearest = nearest_name(text, EnumNames<T>::names);
    throw error;
  }
  static void write(Writer& writer, T value) { writer.string(enum_name(value)); }
  static nlohmann::json describe(Range) {
    return {{"type", "string"}, {"enum", std::vector<std::string>(EnumNames<T>::names.begin(), EnumNames<T>::names.end())}};
  }
};

template <class T>
struct Codec<std::optional<T>> {
  static std::optional<T> read(Value value, const Path& path, Range range) { return Codec<T>::read(value, path, range); }
  static void write(Writer& writer, const std::optional<T>& value) {
    if (value) {
      Codec<T>::write(writer, *value);
    } else {
      writer.null();
    }
  }
  static nlohmann::json describe(Range range) { return Codec<T>::describe(range); }
};

template <class T>
struct Codec<std::vector<T>> {
  static std::vector<T> read(Value value, const Path& path, Range range) {
    simdjson::dom::array array;
    if (value.get(array) != simdjson::SUCCESS) refuse(path, "a list");
    std::vector<T> out;
    // simdjson's size() saturates at 2^24 - 1, which is past every bound here.
    const auto count = static_cast<double>(array.size());
    if (count < range.min || count > range.max) refuse(path, detail::range_text(range, "elements"));
    out.reserve(array.size());
    for (Value element : array) out.push_back(Codec<T>::read(element, path.element(out.size()), {}));
    return out;
  }
  static void write(Writer& writer, const std::vector<T>& list) {
    writer.begin_array();
    for (const auto& element : list) Codec<T>::write(writer, element);
    writer.end_array();
  }
  static nlohmann::json describe(Range range) {
    nlohmann::json schema{{"type", "array"}, {"items", Codec<T>::describe({})}};
    detail::describe_range(schema, range, "minItems", "maxItems");
    return schema;
  }
};

template <class T>
struct Codec<std::map<std::string, T>> {
  static std::map<std::string, T> read(Value value, const Path& path, Range range) {
    simdjson::dom::object object;
    if (value.get(object) != simdjson::SUCCESS) refuse(path, "an object");
    const auto count = static_cast<double>(object.size());
    if (count < range.min || count > range.max) refuse(path, detail::range_text(range, "entries"));
    std::map<std::string, T> out;
    for (const auto& [key, child] : object) {
      out.emplace(std::string(key), Codec<T>::read(child, path.field(key), {}));
    }
    return out;
  }
  static void write(Writer& writer, const std::map<std::string, T>& map) {
    writer.begin_object();
    for (const auto& [key, value] : map) {
      writer.user_key(key);
      Codec<T>::write(writer, value);
    }
    writer.end_object();
  }
  static nlohmann::json describe(Range range) {
    nlohmann::json schema{{"type", "object"}, {"additionalProperties", Codec<T>::describe({})}};
    detail::describe_range(schema, range, "minProperties", "maxProperties");
    return schema;
  }
};

template <Message T>
struct Codec<T> {
  static constexpr auto list = T::fields();
  static constexpr std::size_t size = std::tuple_size_v<decltype(list)>;
  static_assert(size <= 64, "the fields that were seen are kept in 64 bits");
  static constexpr std::array<std::string_view, size> names =
      std::apply([](const auto&... row) { return std::array<std::string_view, size>{row.name...}; }, list);

  static T read(Value value, const Path& path, Range) {
    simdjson::dom::object object;
    if (value.get(object) != simdjson::SUCCESS) refuse(path, "an object");
    T out{};
    std::uint64_t seen = 0;
    for (const auto& [key, child] : object) read_member(out, key, child, path, seen, std::make_index_sequence<size>{});
    require_all(path, seen, std::make_index_sequence<size>{});
    if constexpr (requires { out.validate(path); }) out.validate(path);
    return out;
  }

  static void write(Writer& writer, const T& message) {
    writer.begin_object();
    write_fields(writer, message);
    writer.end_object();
  }

  /// The members without the braces around them, for messages that are part of another.
  static void write_fields(Writer& writer, const T& message) {
    std::apply([&](const auto&... row) { (write_field(writer, message, row), ...); }, list);
  }

  static nlohmann::json describe(Range) {
    nlohmann::json properties = nlohmann::json::object();
    nlohmann::json needed = nlohmann::json::array();
    const auto one = [&]<class Row>(const Row& row) {
      if constexpr (!std::is_same_v<Row, LaterField>) {
        auto schema = json::describe<std::remove_cvref_t<decltype(std::declval<T>().*(row.member))>>(row.range);
        schema["description"] = std::string(row.doc);
        properties[std::string(row.name)] = std::move(schema);
        if (row.presence == Presence::required) needed.push_back(std::string(row.name));
      }
    };
    std::apply([&](const auto&... row) { (one(row), ...); }, list);
    nlohmann::json schema{{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
    if (!needed.empty()) schema["required"] = std::move(needed);
    return schema;
  }

 private:
  template <std::size_t... I>
  static void read_member(T& out, std::string_view key, Value child, const Path& path, std::uint64_t& seen,
                          std::index_sequence<I...>) {
    const bool known = ((key == names[I] && (read_row<I>(out, child, path), seen |= std::uint64_t{1} << I, true)) || ...);
    if (!known) detail::refuse_unknown(path.field(key), names);
  }

  template <std::size_t I>
  static void read_row(T& out, Value child, const Path& path) {
    constexpr auto row = std::get<I>(list);
    if constexpr (std::is_same_v<std::remove_cv_t<decltype(row)>, LaterField>) {
      detail::refuse_later(path.field(row.name));
    } else {
      auto& member = out.*(row.member);
      member = Codec<std::remove_reference_t<decltype(member)>>::read(child, path.field(row.name), row.range);
    }
  }

  template <std::size_t... I>
  static void require_all(const Path& path, std::uint64_t seen, std::index_sequence<I...>) {
    (require_one<I>(path, seen), ...);
  }

  template <std::size_t I>
  static void require_one(const Path& path, std::uint64_t seen) {
    constexpr auto row = std::get<I>(list);
    if constexpr (!std::is_same_v<std::remove_cv_t<decltype(row)>, LaterField>) {
      if (row.presence == Presence::required && ((seen >> I) & 1U) == 0) detail::refuse_missing(path.field(row.name));
    }
  }

  template <class Row>
  static void write_field(Writer& writer, const T& message, const Row& row) {
    if constexpr (!std::is_same_v<Row, LaterField>) {
      using Member = std::remove_cvref_t<decltype(message.*(row.member))>;
      const Member& member = message.*(row.member);
      if (row.presence == Presence::optional) {
        // What has its default is left out: absent and default mean the same everywhere in the protocol.
        if constexpr (detail::IsOptional<Member>::value) {
          if (!member) return;
        } else {
          static const T defaults{};
          if (member == defaults.*(row.member)) return;
        }
      }
      writer.key(row.name);
      Codec<Member>::write(writer, member);
    }
  }
};

}  // namespace stint::json
