// What the frames between the daemon and its workers are made of: kinds, fields, and their bytes.
//
// Compact and binary, host byte order (both ends run on one machine); each frame has one field list that both encodes and
// decodes. A runner can be of an earlier build than its daemon, never of a later one: fields that have come since are the last of
// their frame (`later`), and go only to who understands them (Welcome). Nothing that is read is trusted: every length and every
// choice is checked, and a frame that is short, long or unknown throws Error `internal_error`. Values only, any thread. The
// frames themselves are those of runner_protocol.hpp, pool_protocol.hpp and zygote_protocol.hpp; how they become packets is
// packet_link.hpp's business.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/time.hpp"

namespace stint::worker {

/// First byte of each packet; another one is refused.
inline constexpr std::uint8_t protocol_version = 1;
/// Largest frame: a command, an environment and a whole standard input together.
inline constexpr std::size_t frame_bytes_max = 48U << 20U;

enum class FrameKind : std::uint8_t {
  hello = 1,
  welcome,
  begin,
  started,
  stopping,
  ended,
  stop,
  signal,
  input,
  read_output,
  done,
  piece,
  grant,
  slots_free,
  recall,
  returned,
  recorded,
  set_pool = 24,
  drop_pool,
  message,
  answered,
  progress,
  spawn_worker = 32,
  spawned,
  died,
  sweep,
  swept,
  clear_worker,
  remove_worker,
};

/// Appends fields to a string.
class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}

  template <class... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }
  template <class E>
  void choice(const E& value, E) {
    put(static_cast<std::uint8_t>(value));
  }
  /// The last field, which earlier builds do not have: nothing is written where it has no value.
  template <class T>
  void later(const std::optional<T>& value) {
    if (value) put(*value);
  }

 private:
  template <class T>
  requires std::is_integral_v<T>
  void put(T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out_.append(bytes, sizeof value);
  }
  void put(const std::string& value) {
    put(static_cast<std::uint32_t>(value.size()));
    out_ += value;
  }
  void put(Duration value) { put(static_cast<std::int64_t>(value.count())); }
  void put(Time value) { put(static_cast<std::int64_t>(value.time_since_epoch().count())); }
  template <class T>
  void put(const std::optional<T>& value) {
    put(static_cast<std::uint8_t>(value.has_value()));
    if (value) put(*value);
  }
  template <class T>
  void put(const std::vector<T>& values) {
    put(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values) put(value);
  }
  template <class T>
  requires requires(const T& t, Encoder& e) { T::each(t, e); }
  void put(const T& value) { T::each(value, *this); }

  std::string& out_;
};

/// Takes fields out of bytes. Throws Error where they are not what the field list says.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}

  template <class... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  template <class E>
  void choice(E& value, E last) {
    std::uint8_t raw = 0;
    get(raw);
    if (raw > static_cast<std::uint8_t>(last)) throw malformed();
    value = static_cast<E>(raw);
  }
  template <class T>
  void later(std::optional<T>& value) {
    value.reset();
    if (!rest_.empty()) get(value.emplace());
  }
  /// To be called when all fields are read: bytes left over are as wrong as bytes missing.
  void finish() const {
    if (!rest_.empty()) throw malformed();
  }

  [[nodiscard]] static Error malformed() { return {ErrorKind::internal_error, "a frame between daemon and worker is malformed"}; }

 private:
  std::string_view take(std::size_t bytes) {
    if (bytes > rest_.size()) throw malformed();
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  template <class T>
  requires std::is_integral_v<T>
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t raw = 0;
      get(raw);
      if (raw > 1) throw malformed();
      value = raw != 0;
    } else {
      std::memcpy(&value, take(sizeof value).data(), sizeof value);
    }
  }
  void get(std::string& value) {
    std::uint32_t size = 0;
    get(size);
    value = take(size);
  }
  void get(Duration& value) {
    std::int64_t count = 0;
    get(count);
    value = Duration{count};
  }
  void get(Time& value) {
    std::int64_t count = 0;
    get(count);
    value = Time{Duration{count}};
  }
  template <class T>
  void get(std::optional<T>& value) {
    bool present = false;
    get(present);
    value.reset();
    if (present) get(value.emplace());
  }
  template <class T>
  void get(std::vector<T>& values) {
    std::uint32_t size = 0;
    get(size);
    if (size > rest_.size()) throw malformed();  // each element takes a byte at least: no huge reserve on a lie
    values.clear();
    values.reserve(size);
    for (std::uint32_t i = 0; i < size; ++i) get(values.emplace_back());
  }
  template <class T>
  requires requires(T& t, Decoder& d) { T::each(t, d); }
  void get(T& value) { T::each(value, *this); }

  std::string_view rest_;
};

/// A frame as it lies in its packet: valid as long as the bytes are.
struct FrameView {
  FrameKind kind{};
  std::string_view payload;
};

/// Throws Error where the payload is not a Frame.
template <class Frame>
[[nodiscard]] Frame decode(const FrameView& view) {
  Frame frame;
  Decoder decoder(view.payload);
  Frame::each(frame, decoder);
  decoder.finish();
  return frame;
}

/// Appends length, kind and fields.
template <class Frame>
void encode(std::string& out, const Frame& frame) {
  const std::size_t at = out.size();
  out.append(4, '\0');
  out += static_cast<char>(Frame::kind);
  Encoder encoder(out);
  Frame::each(frame, encoder);
  const auto length = static_cast<std::uint32_t>(out.size() - at - 4);
  std::memcpy(out.data() + at, &length, sizeof length);
}

/// Takes one whole frame off the front of `bytes`; nothing where it is not all there. Throws Error for a length that
/// no frame has.
[[nodiscard]] std::optional<FrameView> next_frame(std::string_view& bytes);

}  // namespace stint::worker
