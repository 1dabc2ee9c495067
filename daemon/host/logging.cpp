// One sink for both targets: it formats, escapes and counts; only the last step differs.

#include "daemon/host/logging.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <system_error>

namespace stint::host {
namespace {

std::atomic<std::uint64_t> dropped{0};

/// Writes to a descriptor that others may share, so O_NONBLOCK is not ours to set: ask first, then write at most what a
/// writable pipe takes at once.
bool write_at_once(int fd, std::string_view line) {
  pollfd question{.fd = fd, .events = POLLOUT, .revents = 0};
  if (::poll(&question, 1, 0) != 1 || (question.revents & POLLOUT) == 0) return false;
  return ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
}

/// Priorities of syslog(3), as the journal reads them in front of a line.
const char* journal_prefix(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical: return "<2>";
    case spdlog::level::err: return "<3>";
    case spdlog::level::warn: return "<4>";
    case spdlog::level::info: return "<6>";
    default: return "<7>";
  }
}

class LineSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LineSink(const LogSettings& settings) : journal_(is_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"))) {
    if (settings.file) {
      file_.emplace(*settings.file);
      journal_ = false;
    }
    // The journal has times and priorities of its own.
    set_pattern_(journal_ ? "%v" : "%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t buffer;
    const std::string escaped = escape_control({message.payload.data(), message.payload.size()});
    spdlog::details::log_msg safe = message;
    safe.payload = escaped;
    formatter_->format(safe, buffer);
    std::string line = journal_ ? journal_prefix(message.level) : "";
    line.append(buffer.data(), buffer.size());
    if (line.size() > line_bytes_max) {
      line.resize(line_bytes_max - 4);
      line += "...\n";
    }
    if (unreported_ > 0) {
      const std::string notice =
          std::string(journal_ ? "<4>" : "") + "(" + std::to_string(unreported_) + " log lines could not be written)\n";
      if (!write(notice)) return drop();
      unreported_ = 0;
    }
    if (!write(line)) drop();
  }
  void flush_() override {}

 private:
  bool write(std::string_view line) { return file_ ? file_->write(line) : write_at_once(STDERR_FILENO, line); }
  void drop() {
    ++unreported_;
    dropped.fetch_add(1, std::memory_order_relaxed);
  }

  bool journal_;
  std::optional<RotatedFile> file_;
  std::uint64_t unreported_ = 0;
};

spdlog::level::level_enum level_of(Severity severity) {
  switch (severity) {
    case Severity::debug: return spdlog::level::debug;
    case Severity::info: return spdlog::level::info;
    case Severity::warning: return spdlog::level::warn;
    case Severity::error: break;
  }
  return spdlog::level::err;
}

}  // namespace

void setup_logging(const LogSettings& settings) {
  std::shared_ptr<LineSink> sink;
  std::string trouble;
  try {
    sink = std::make_shared<LineSink>(settings);
  } catch (const std::system_error& error) {
    sink = std::make_shared<LineSink>(LogSettings{.least = settings.least, .file = std::nullopt});
    trouble = error.what();
  }
  auto logger = std::make_shared<spdlog::logger>("stintd", std::move(sink));
  logger->set_level(level_of(settings.least));
  spdlog::set_default_logger(std::move(logger));
  if (!trouble.empty()) spdlog::warn("{}: the log goes to standard error until the next start", trouble);
}

std::uint64_t dropped_log_lines() noexcept { return dropped.load(std::memory_order_relaxed); }

std::string escape_control(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  const auto hex = [&safe](unsigned char byte) {
    constexpr std::string_view digits = "0123456789abcdef";
    safe.append("\\x").append(1, digits[byte >> 4U]).append(1, digits[byte & 15U]);
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const auto next = at + 1 < text.size() ? static_cast<unsigned char>(text[at + 1]) : 0U;
    if (byte == '\n') {
      safe += "\\n";
    } else if (byte == '\t') {
      safe += "\\t";
    } else if (byte == '\\' && (next == 'n' || next == 't' || next == 'x' || next == '\\')) {
      safe += "\\\\";
      if (next == '\\') ++at, safe += "\\\\";
    } else if (byte < 0x20 || byte == 0x7f) {
      hex(byte);
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      // C1 controls in UTF-8: some terminals obey them as they obey ESC.
      hex(byte);
      hex(static_cast<unsigned char>(next));
      ++at;
    } else {
      safe += text[at];
    }
  }
  return safe;
}

bool is_journal(int fd, const char* journal_stream) {
  struct stat status {};
  if (journal_stream == nullptr || ::fstat(fd, &status) != 0) return false;
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) == journal_stream;
}

RotatedFile::RotatedFile(LogFile settings) : settings_(std::move(settings)) { open(); }

bool RotatedFile::write(std::string_view line) {
  if (size_ > 0 && size_ + line.size() > settings_.bytes) rotate();
  const ssize_t written = ::write(file_.get(), line.data(), line.size());
  if (written > 0) size_ += static_cast<std::uint64_t>(written);
  return written == static_cast<ssize_t>(line.size());
}

void RotatedFile::open() {
  UniqueFd file(::open(settings_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0)
    throw std::system_error(errno, std::generic_category(), "the log file " + settings_.path.string() + " cannot be opened");
  size_ = static_cast<std::uint64_t>(status.st_size);
  file_ = std::move(file);
}

void RotatedFile::rotate() {
  const auto numbered = [this](std::uint32_t number) { return settings_.path.string() + "." + std::to_string(number); };
  for (std::uint32_t number = settings_.kept; number > 1; --number)
    ::rename(numbered(number - 1).c_str(), numbered(number).c_str());
  // Where a rename or open fails (a full disk, a directory gone) the open file simply grows on.
  if (::rename(settings_.path.c_str(), numbered(1).c_str()) != 0) return;
  try {
    open();
  } catch (const std::system_error&) {
    ::rename(numbered(1).c_str(), settings_.path.c_str());
  }
}

}  // namespace stint::host
