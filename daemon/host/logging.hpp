// Where spdlog's default logger writes: standard error, with journal priorities under systemd, or a rotated file.
//
// A message is one line of at most line_bytes_max: control characters are escaped, so that a job's name cannot forge a
// line or steer a terminal. Logging never waits: a line that cannot be written at once (a reader of standard error that
// does not read, a full disk) is dropped and counted, and the count is logged as soon as there is room again.
// A file that cannot be opened is no reason not to run: then standard error it is, which says so first.
// `setup_logging` is called once by main; logging itself by any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "common/unique_fd.hpp"

namespace stint::host {

/// PIPE_BUF: what a writable pipe takes without waiting.
inline constexpr std::size_t line_bytes_max = 4'096;

enum class Severity : std::uint8_t { debug, info, warning, error };

/// A file that is rotated to FILE.1 … FILE.kept when it has reached `bytes`.
struct LogFile {
  std::filesystem::path path;
  std::uint64_t bytes = 10U << 20U;
  std::uint32_t kept = 3;
};

struct LogSettings {
  Severity least = Severity::info;
  std::optional<LogFile> file;  ///< nothing: standard error
};

void setup_logging(const LogSettings& settings);

/// Lines that could not be written since the start.
[[nodiscard]] std::uint64_t dropped_log_lines() noexcept;

/// `text` with control characters (C0, DEL, C1) as \n, \t, \xNN and with `\` doubled where such an escape could be meant.
[[nodiscard]] std::string escape_control(std::string_view text);

/// True where descriptor `fd` is the stream that JOURNAL_STREAM names, so that `<N>` prefixes are understood.
[[nodiscard]] bool is_journal(int fd, const char* journal_stream);

/// Appends whole lines to a rotated file of mode 0600. Not synchronised: the logger's sink holds the mutex.
class RotatedFile {
 public:
  /// Throws std::system_error where it cannot be opened.
  explicit RotatedFile(LogFile settings);
  /// False where it could not be written as a whole.
  bool write(std::string_view line);

 private:
  void open();
  void rotate();

  LogFile settings_;
  UniqueFd file_;
  std::uint64_t size_ = 0;
};

}  // namespace stint::host
