// Whether a file can be loaded into our own process: who else could have written it, or put another one into its place.
//
// Asks the file system and nothing else; any thread; throws only bad_alloc.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

namespace stint {

/// Nothing where `path`, with links resolved, and all directories above it belong to root or to `user` and can be written by
/// nobody else; else a sentence that names what is wrong and where. A directory above it that all may write to is right where
/// it is sticky (/tmp): nobody else can rename what lies in it.
[[nodiscard]] std::optional<std::string> why_untrusted(const std::filesystem::path& path, uid_t user);

}  // namespace stint
