// Large payloads between processes: a memory file that its writer fills once and seals, and its reader maps.
//
// The seals (no shrinking, growing, writing or further sealing) are what makes it safe to read: a peer can neither
// change the bytes while they are looked at nor make the mapping fault. The reader checks them and the size and trusts
// nothing else. Nothing has a name, so nothing stays behind. Any thread; each object by one at a time. Throws Error
// `unavailable` where the system refuses memory or descriptors, `invalid_params` for a payload that is not as promised.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "common/unique_fd.hpp"

namespace stint {

/// A sealed memory file with these bytes, close-on-exec.
[[nodiscard]] UniqueFd share_payload(std::string_view bytes);

/// A received payload, mapped read-only as long as the object lives.
class SharedPayload {
 public:
  /// `size` is what the sender announced, 1 … `size_max`.
  SharedPayload(const UniqueFd& file, std::size_t size, std::size_t size_max);
  ~SharedPayload();
  SharedPayload(SharedPayload&&) noexcept;
  SharedPayload& operator=(SharedPayload&&) noexcept;

  [[nodiscard]] std::string_view bytes() const;

 private:
  struct Region;
  std::unique_ptr<Region> region_;
};

}  // namespace stint
