// A Unix socket for clients that pipeline: large buffers both ways, writes and reads whenever the other side is ready.
//
// The same for every contestant, so that none has the better client. One thread; throws std::runtime_error.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace stint::bench {

class LineSocket {
 public:
  explicit LineSocket(const std::string& path);
  LineSocket(const LineSocket&) = delete;
  LineSocket& operator=(const LineSocket&) = delete;
  ~LineSocket();

  /// What is to be sent next; sent by `line`, as far as the socket takes it, or at once by `flush`.
  std::string& out() { return out_; }
  void flush();
  /// The next line, without its end; valid until the next call. Waits for it, sending meanwhile.
  [[nodiscard]] std::string_view line();
  /// The next line where a whole one has arrived already.
  [[nodiscard]] std::optional<std::string_view> line_at_hand();

 private:
  void exchange();
  void send_some();

  int fd_;
  std::string out_;
  std::size_t sent_ = 0;
  std::string in_;
  std::size_t taken_ = 0;
  std::size_t scanned_ = 0;
};

}  // namespace stint::bench
