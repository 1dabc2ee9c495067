#include "common/slot_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/error.hpp"
#include "common/open_file.hpp"

namespace stint {

std::array<char, 16> boot_id() {
  std::array<char, 16> id{};
  std::array<char, 64> text{};
  const UniqueFd file = open_if_there("/proc/sys/kernel/random/boot_id");
  if (!file) return id;
  if (::read(file.get(), text.data(), text.size() - 1) <= 0) {
    throw unavailable(std::string("cannot read the boot id: ") + std::strerror(errno), "state_dir");
  }
  std::size_t digits = 0;
  for (const char c : text) {
    const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (value < 0) continue;
    char& byte = id.at(digits / 2);
    byte = static_cast<char>(static_cast<unsigned>(static_cast<unsigned char>(byte)) << 4U | static_cast<unsigned>(value));
    if (++digits == 32) break;
  }
  return id;
}

std::uint64_t ticks_since_boot() {
  static const auto ticks_a_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * ticks_a_second +
         static_cast<std::uint64_t>(now.tv_nsec) / (1'000'000'000ULL / ticks_a_second);
}

SlotFile::SlotFile(const std::string& path)
    : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)) {
  if (!file_) throw unavailable("cannot create " + path + ": " + std::strerror(errno), "state_dir");
}

std::optional<std::size_t> SlotFile::take() {
  if (!free_.empty()) {
    const std::size_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  if (count_ == allocated_) {
    constexpr std::size_t slots_a_block = 32;
    const auto end = static_cast<off_t>(allocated_ * sizeof(SlotRecord));
    constexpr auto block = static_cast<off_t>(slots_a_block * sizeof(SlotRecord));
    if (::posix_fallocate(file_.get(), end, block) != 0) return std::nullopt;
    allocated_ += slots_a_block;
  }
  return count_++;
}

bool SlotFile::write(std::size_t slot, const SlotRecord& record) {
  const auto at = static_cast<off_t>(slot * sizeof record);
  return ::pwrite(file_.get(), &record, sizeof record, at) == static_cast<ssize_t>(sizeof record);
}

SlotRecord SlotFile::read(std::size_t slot) const {
  SlotRecord record;
  const auto at = static_cast<off_t>(slot * sizeof record);
  if (::pread(file_.get(), &record, sizeof record, at) != static_cast<ssize_t>(sizeof record)) return {};
  return record;
}

std::vector<SlotRecord> read_slots(const std::string& path) {
  std::vector<SlotRecord> records;
  const UniqueFd file = open_if_there(path);
  if (!file) return records;
  SlotRecord record;
  for (off_t at = 0;; at += sizeof record) {
    const ssize_t got = ::pread(file.get(), &record, sizeof record, at);
    if (got < 0) throw unavailable("cannot read " + path + ": " + std::strerror(errno), "state_dir");
    if (got != static_cast<ssize_t>(sizeof record)) break;
    const bool known = record.magic == SlotRecord::magic_value && record.version == SlotRecord::version_value;
    if (known && (record.state == SlotState::begun || record.state == SlotState::ended)) records.push_back(record);
  }
  return records;
}

}  // namespace stint
