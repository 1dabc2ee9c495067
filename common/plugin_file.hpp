// Which file a plug-in is, by two ways to it.
#pragma once

#include <string>

namespace stint {

struct PluginFile {
  std::string path;
  /// The same file by way of the daemon's own descriptor, /proc/PID/fd/N: when another one lies at the path since, the one that
  /// the daemon knows is still there.
  std::string held;
  bool operator==(const PluginFile&) const = default;
};

}  // namespace stint
