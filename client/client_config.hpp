// The CLI's own settings: `$XDG_CONFIG_HOME/stint/client.toml`. A missing file is an empty one.
//
// Read only when a setting matters, so that an ordinary call does not pay for it. Throws Failure 78 with file, line and
// what was expected; an unknown key is an error that names the nearest known one.
#pragma once

#include <filesystem>

namespace stint::cli {

struct ClientConfig {
  bool autostart = true;  ///< run, submit and map start a personal daemon where none is reachable
};

[[nodiscard]] std::filesystem::path client_config_path();
[[nodiscard]] ClientConfig load_client_config(const std::filesystem::path& path);

}  // namespace stint::cli
