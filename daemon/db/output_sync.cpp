#include "daemon/db/output_sync.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/kept_output.hpp"
#include "common/unique_fd.hpp"
#include "daemon/db/sqlite.hpp"

namespace stint::db {
namespace {

[[noreturn]] void fail(const std::string& path) {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT;
  throw SqliteError(full ? SQLITE_FULL : SQLITE_IOERR_FSYNC, error, "cannot sync " + path + ": " + std::strerror(error));
}

}  // namespace

void OutputSync::add(JobId id, Attempt attempt, const EndReport& end) {
  if (folder_.empty()) return;
  const auto add_stream = [&](const std::optional<OutputContent>& content, StreamName of) {
    if (!content || !content->in_file) return;
    files_.push_back(output_path(folder_, id, attempt, of));
    files_.push_back(output_tail_path(files_.back()));
  };
  add_stream(end.stdout_content, StreamName::out);
  add_stream(end.stderr_content, StreamName::err);
}

void OutputSync::sync() const {
  if (files_.empty()) return;
  const UniqueFd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) {
    if (errno == ENOENT) return;
    fail(folder_);
  }
  bool all_opened = true;
  for (const std::string& path : files_) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (file) {
      if (::fdatasync(file.get()) != 0) fail(path);
    } else if (errno != ENOENT) {
      all_opened = false;
    }
  }
  // Too many files are open, for example: this needs no more of them.
  if (!all_opened && ::syncfs(folder.get()) != 0) fail(folder_);
  if (::fsync(folder.get()) != 0) fail(folder_);
}

}  // namespace stint::db
