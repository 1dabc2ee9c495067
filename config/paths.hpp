// Where a personal daemon keeps its socket, state and settings by default (XDG Base Directory specification).
//
// Names only: nothing is created or checked here. A relative path in an XDG_* variable is ignored, as the specification
// asks. Any thread; throws only bad_alloc.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace stint::config {

using Environment = std::map<std::string, std::string>;
/// This process's environment.
[[nodiscard]] Environment process_environment();

/// $XDG_RUNTIME_DIR/stint/stint.sock, or /tmp/stint-UID/stint.sock.
[[nodiscard]] std::filesystem::path default_socket(const Environment& environment);
/// $XDG_STATE_HOME/stint, or ~/.local/state/stint.
[[nodiscard]] std::filesystem::path default_state_dir(const Environment& environment);
/// $XDG_CONFIG_HOME/stint/stint.toml, or ~/.config/stint/stint.toml.
[[nodiscard]] std::filesystem::path user_config_file(const Environment& environment);

}  // namespace stint::config
