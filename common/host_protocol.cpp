#include "common/host_protocol.hpp"

#include <cstring>
#include <type_traits>

namespace stint::host_protocol {
namespace {

// Both ends are processes of one machine and one release: numbers keep the machine's byte order.
class Encoder {
 public:
  template <class Number>
  void number(Number value) {
    static_assert(std::is_arithmetic_v<Number>);
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    out.append(value);
  }
  void payload(const Payload& value) {
    number(static_cast<std::uint8_t>(value.kind));
    if (value.kind == Payload::Kind::inlined) text(value.text);
    if (value.kind == Payload::Kind::shared) number(value.size_bytes);
  }
  template <class Header>
  void run_of(const Header& frame) {
    number(frame.job);
    number(frame.attempt);
  }

  std::string out;
};

class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}

  template <class Number>
  Number number() {
    Number value{};
    if (rest_.size() < sizeof value) {
      good_ = false;
      rest_ = {};
      return value;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  std::string text(std::size_t bytes_max) {
    const auto size = number<std::uint32_t>();
    if (size > bytes_max || size > rest_.size()) {
      good_ = false;
      rest_ = {};
      return {};
    }
    std::string value(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
  }
  Payload payload() {
    Payload value;
    const auto kind = number<std::uint8_t>();
    good_ = good_ && kind <= static_cast<std::uint8_t>(Payload::Kind::shared);
    value.kind = good_ ? static_cast<Payload::Kind>(kind) : Payload::Kind::none;
    if (value.kind == Payload::Kind::inlined) value.text = text(limits::shared_payload_bytes_min);
    if (value.kind == Payload::Kind::shared) value.size_bytes = number<std::uint64_t>();
    return value;
  }
  template <class Header>
  void run_of(Header& frame) {
    frame.job = number<JobId>();
    frame.attempt = number<Attempt>();
  }
  void require(bool condition) { good_ = good_ && condition; }
  /// Everything fitted and nothing is left over.
  [[nodiscard]] bool whole() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

void put(Encoder& to, const Run& frame) {
  to.number(static_cast<std::uint8_t>(frame.deadline.has_value()));
  if (frame.deadline) to.number(frame.deadline->time_since_epoch().count());
  to.text(frame.task);
  to.number(static_cast<std::uint8_t>(frame.plugin.has_value()));
  if (frame.plugin) {
    to.text(frame.plugin->path);
    to.text(frame.plugin->held);
  }
  to.payload(frame.args);
}
void put(Encoder&, const Stop&) {}
void put(Encoder& to, const Progress& frame) {
  to.number(frame.value);
  to.text(frame.text);
}
void put(Encoder& to, const Returned& frame) { to.payload(frame.result); }
void put(Encoder& to, const Failed& frame) {
  to.text(frame.error.kind);
  to.text(frame.error.message);
}

void take(Decoder& from, Run& frame) {
  const auto has_deadline = from.number<std::uint8_t>();
  from.require(has_deadline <= 1);
  if (has_deadline == 1) frame.deadline = Time{Duration{from.number<Duration::rep>()}};
  frame.task = from.text(limits::name_bytes_max);
  const auto has_plugin = from.number<std::uint8_t>();
  from.require(has_plugin <= 1);
  if (has_plugin == 1) {
    auto& plugin = frame.plugin.emplace();
    plugin.path = from.text(limits::path_bytes_max);
    plugin.held = from.text(limits::path_bytes_max);
  }
  frame.args = from.payload();
}
void take(Decoder&, Stop&) {}
void take(Decoder& from, Progress& frame) {
  frame.value = from.number<double>();
  from.require(frame.value >= 0 && frame.value <= 1);
  frame.text = from.text(limits::progress_text_bytes_max);
}
void take(Decoder& from, Returned& frame) {
  frame.result = from.payload();
  from.require(frame.result.kind != Payload::Kind::none);
}
void take(Decoder& from, Failed& frame) {
  frame.error.kind = from.text(limits::name_bytes_max);
  frame.error.message = from.text(limits::task_error_bytes_max);
}

template <std::size_t Index = 0>
std::optional<Frame> decode_kind(Decoder& from, std::size_t kind) {
  if constexpr (Index == std::variant_size_v<Frame>) {
    return std::nullopt;
  } else {
    if (kind != Index) return decode_kind<Index + 1>(from, kind);
    std::variant_alternative_t<Index, Frame> frame;
    from.run_of(frame);
    take(from, frame);
    if (!from.whole()) return std::nullopt;
    return frame;
  }
}

}  // namespace

std::string encode(const Frame& frame) {
  Encoder to;
  to.number(version);
  to.number(static_cast<std::uint8_t>(frame.index()));
  std::visit(
      [&to](const auto& kind) {
        to.run_of(kind);
        put(to, kind);
      },
      frame);
  return std::move(to.out);
}

std::optional<Frame> decode(std::string_view bytes) {
  Decoder from(bytes);
  if (from.number<std::uint8_t>() != version) return std::nullopt;
  const auto kind = from.number<std::uint8_t>();
  return decode_kind(from, kind);
}

}  // namespace stint::host_protocol
