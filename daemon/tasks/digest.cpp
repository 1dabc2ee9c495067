// digest: SHA-256 of a file or a string, in pieces of 64 KiB with a look at the stop token between them.
//
// Takes {"file": path} or {"string": text}; a bare string is a path, so that a list of files can be digested. Regular
// files with an absolute path only, so that it cannot hang on a pipe. Throws TaskError `file` with path and reason,
// `invalid_args`, `stopped`. The coroutine form gives way after each piece.
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "common/unique_fd.hpp"
#include "daemon/tasks/builtin.hpp"

namespace stint::tasks {
namespace {

constexpr std::size_t piece_bytes = 64U << 10U;
constexpr std::uint64_t progress_bytes = 16U << 20U;  // a report each so many bytes

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void add(std::string_view bytes) { require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1); }
  [[nodiscard]] std::string finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned size = 0;
    require(EVP_DigestFinal_ex(context_.get(), bytes.data(), &size) == 1);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
      text += digits[bytes[i] >> 4U];
      text += digits[bytes[i] & 15U];
    }
    return text;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  static void require(bool condition) {
    if (!condition) throw TaskError("digest", "OpenSSL offers no SHA-256 here");
  }
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

[[noreturn]] void throw_file(const std::string& path, const char* reason) { throw TaskError("file", path + ": " + reason); }

/// Where the bytes come from, a piece at a time.
class Source {
 public:
  explicit Source(const nlohmann::json& args) {
    if (args.is_object() && args.contains("file") == args.contains("string")) {
      throw TaskError("invalid_args", "give either 'file' or 'string'");
    }
    if (args.is_object() && args.contains("string")) {
      text_ = task_argument<std::string>(args, "string");
      rest_ = text_;
      size_ = text_.size();
      return;
    }
    path_ = args.is_string() ? args.get<std::string>() : task_argument<std::string>(args, "file");
    open();
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// The next piece, valid until the next call; empty at the end.
  std::string_view next() {
    if (!file_) {
      const std::string_view piece = rest_.substr(0, piece_bytes);
      rest_.remove_prefix(piece.size());
      return piece;
    }
    buffer_.resize(piece_bytes);
    ssize_t got = -1;
    do {
      got = ::read(file_.get(), buffer_.data(), buffer_.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) throw_file(path_, std::strerror(errno));
    return {buffer_.data(), static_cast<std::size_t>(got)};
  }
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  void open() {
    if (!path_.starts_with('/')) throw TaskError("invalid_args", "'file' must be an absolute path, not '" + path_ + "'");
    if (path_.find('\0') != std::string::npos) throw TaskError("invalid_args", "'file' holds a NUL");
    // Non-blocking: opening a pipe without a writer must not hang.
    file_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!file_) throw_file(path_, std::strerror(errno));
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) throw_file(path_, std::strerror(errno));
    if (S_ISDIR(status.st_mode)) throw_file(path_, std::strerror(EISDIR));
    if (!S_ISREG(status.st_mode)) throw_file(path_, "not a regular file");
    size_ = static_cast<std::uint64_t>(status.st_size);
  }

  std::string path_;
  UniqueFd file_;
  std::string text_;
  std::string_view rest_;
  std::string buffer_;
  std::uint64_t size_ = 0;
};

/// One digest under way: `step` until it says that it is done.
class Digest {
 public:
  Digest(const TaskContext& context, const nlohmann::json& args) : context_(context), source_(args) {}

  /// False at the end.
  bool step() {
    if (context_.stop.stop_requested()) throw TaskError("stopped", "the task was stopped");
    const std::string_view piece = source_.next();
    if (piece.empty()) return false;
    sha_.add(piece);
    bytes_ += piece.size();
    if (bytes_ % progress_bytes == 0 && source_.size() > 0) {
      context_.progress(static_cast<double>(bytes_) / static_cast<double>(source_.size()));
    }
    return true;
  }
  [[nodiscard]] nlohmann::json result() { return {{"sha256", sha_.finish()}, {"bytes", bytes_}}; }

 private:
  const TaskContext& context_;
  Source source_;
  Sha256 sha_;
  std::uint64_t bytes_ = 0;
};

nlohmann::json digest_blocking(const TaskContext& context, const nlohmann::json& args) {
  Digest digest(context, args);
  while (digest.step()) {
  }
  return digest.result();
}

boost::asio::awaitable<nlohmann::json> digest_coroutine(const TaskContext& context, const nlohmann::json& args) {
  Digest digest(context, args);
  const auto executor = co_await boost::asio::this_coro::executor;
  while (digest.step()) co_await boost::asio::post(executor, boost::asio::use_awaitable);
  co_return digest.result();
}

}  // namespace

Task digest_task() {
  Task task;
  task.name = "digest";
  task.description = "SHA-256 of a file or a string; the arguments may also be the file's path itself";
  task.parameters = {{"file", "string", "absolute path of a regular file", false},
                     {"string", "string", "or the text itself", false}};
  task.blocking = digest_blocking;
  task.coroutine = digest_coroutine;
  return task;
}

}  // namespace stint::tasks
