#include "tests/unit/db/failing_disk.hpp"

#include <sqlite3.h>

#include <cstring>
#include <stdexcept>

namespace stint::db {
namespace {

/// The file as SQLite sees it; behind it in the same memory lies the real one.
struct File {
  sqlite3_file base;
  [[nodiscard]] sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }
sqlite3_vfs* usual() { return sqlite3_vfs_find(nullptr); }

int close_file(sqlite3_file* file) {
  sqlite3_file* const inner = real(file);
  return inner->pMethods == nullptr ? SQLITE_OK : inner->pMethods->xClose(inner);
}
int read_file(sqlite3_file* file, void* data, int size, sqlite3_int64 at) {
  return real(file)->pMethods->xRead(real(file), data, size, at);
}
int write_file(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
  if (const int code = FailingDisk::instance().on_write(); code != SQLITE_OK) {
    // Half of it arrives, as it may on a real one.
    static_cast<void>(real(file)->pMethods->xWrite(real(file), data, size / 2, at));
    return code;
  }
  return real(file)->pMethods->xWrite(real(file), data, size, at);
}
int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  if (const int code = FailingDisk::instance().on_truncate(); code != SQLITE_OK) return code;
  return real(file)->pMethods->xTruncate(real(file), size);
}
int sync_file(sqlite3_file* file, int flags) {
  if (const int code = FailingDisk::instance().on_sync(); code != SQLITE_OK) return code;
  return real(file)->pMethods->xSync(real(file), flags);
}
int size_of_file(sqlite3_file* file, sqlite3_int64* size) { return real(file)->pMethods->xFileSize(real(file), size); }
int lock_file(sqlite3_file* file, int kind) { return real(file)->pMethods->xLock(real(file), kind); }
int unlock_file(sqlite3_file* file, int kind) { return real(file)->pMethods->xUnlock(real(file), kind); }
int check_lock(sqlite3_file* file, int* out) { return real(file)->pMethods->xCheckReservedLock(real(file), out); }
int control_file(sqlite3_file* file, int op, void* arg) { return real(file)->pMethods->xFileControl(real(file), op, arg); }
int sector_size(sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); }
int characteristics(sqlite3_file* file) { return real(file)->pMethods->xDeviceCharacteristics(real(file)); }

/// Version 1: no shared memory, which the store does not use.
constexpr sqlite3_io_methods methods{
    1,         close_file,  read_file,  write_file,   truncate_file, sync_file,       size_of_file,
    lock_file, unlock_file, check_lock, control_file, sector_size,   characteristics, nullptr,
    nullptr,   nullptr,     nullptr,    nullptr,      nullptr};

int open_file(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* flags_out) {
  auto* const outer = reinterpret_cast<File*>(file);
  std::memset(outer->real(), 0, static_cast<std::size_t>(usual()->szOsFile));
  const int code = usual()->xOpen(usual(), path, outer->real(), flags, flags_out);
  outer->base.pMethods = outer->real()->pMethods == nullptr ? nullptr : &methods;
  return code;
}

}  // namespace

FailingDisk& FailingDisk::instance() {
  static FailingDisk disk;
  return disk;
}

FailingDisk::FailingDisk() {
  static sqlite3_vfs vfs = *usual();
  vfs.zName = name;
  vfs.szOsFile = static_cast<int>(sizeof(File)) + usual()->szOsFile;
  vfs.pNext = nullptr;
  vfs.xOpen = open_file;
  if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK) throw std::runtime_error("the failing disk could not be registered");
}

void FailingDisk::plan(Trouble trouble, std::uint64_t n, std::uint64_t count) {
  trouble_ = trouble;
  calls_ = 0;
  failed_ = 0;
  from_ = n;
  until_ = n + count;
}

bool FailingDisk::strikes() {
  const std::uint64_t call = ++calls_;
  if (call < from_ || call >= until_) return false;
  ++failed_;
  return true;
}

int FailingDisk::on_write() {
  if (trouble_ == Trouble::sync_error || !strikes()) return SQLITE_OK;
  return trouble_ == Trouble::full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

int FailingDisk::on_sync() { return trouble_ == Trouble::sync_error && strikes() ? SQLITE_IOERR_FSYNC : SQLITE_OK; }

int FailingDisk::on_truncate() { return trouble_ == Trouble::write_error && strikes() ? SQLITE_IOERR_TRUNCATE : SQLITE_OK; }

}  // namespace stint::db
