#include "common/shared_payload.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstring>

#include "common/error.hpp"

namespace stint {
namespace {

namespace ipc = boost::interprocess;

constexpr unsigned all_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

[[noreturn]] void throw_system(const char* what) {
  throw unavailable(std::string("cannot ") + what + " shared memory for a payload: " + std::strerror(errno), "memory");
}

[[noreturn]] void throw_wrong(const char* expected) { throw invalid_params("payload", expected); }

/// What mapped_region asks of a thing that it can map.
class MappedFile {
 public:
  explicit MappedFile(int fd) { handle_.handle = fd; }
  [[nodiscard]] ipc::mapping_handle_t get_mapping_handle() const { return handle_; }
  // Private, because before Linux 6.7 a write-sealed file cannot be mapped shared, not even for reading.
  [[nodiscard]] static ipc::mode_t get_mode() { return ipc::read_private; }

 private:
  ipc::mapping_handle_t handle_{};
};

}  // namespace

struct SharedPayload::Region {
  ipc::mapped_region mapped;
};

UniqueFd share_payload(std::string_view bytes) {
  UniqueFd file(::memfd_create("stint-payload", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) throw_system("make");
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_system("fill");
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fcntl(file.get(), F_ADD_SEALS, all_seals) != 0) throw_system("seal");
  return file;
}

SharedPayload::SharedPayload(const UniqueFd& file, std::size_t size, std::size_t size_max) {
  if (!file) throw_wrong("a descriptor with the frame that announces it");
  if (size == 0 || size > size_max) throw_wrong("a size within the bound");
  const int seals = ::fcntl(file.get(), F_GET_SEALS);
  if (seals < 0 || (static_cast<unsigned>(seals) & all_seals) != all_seals) throw_wrong("a sealed memory file");
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_system("look at");
  if (status.st_size < 0 || static_cast<std::size_t>(status.st_size) != size) throw_wrong("a file of the announced size");
  try {
    region_ = std::make_unique<Region>(Region{ipc::mapped_region(MappedFile(file.get()), ipc::read_private, 0, size)});
  } catch (const ipc::interprocess_exception& error) {
    throw unavailable(std::string("cannot map shared memory for a payload: ") + error.what(), "memory");
  }
}

SharedPayload::~SharedPayload() = default;
SharedPayload::SharedPayload(SharedPayload&&) noexcept = default;
SharedPayload& SharedPayload::operator=(SharedPayload&&) noexcept = default;

std::string_view SharedPayload::bytes() const {
  return {static_cast<const char*>(region_->mapped.get_address()), region_->mapped.get_size()};
}

}  // namespace stint
