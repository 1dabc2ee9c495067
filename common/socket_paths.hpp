// Where the daemon's socket and state lie: the personal defaults of the daemon, and the order in which a client searches.
//
// The daemon binds and the client connects, so the paths stand here once. Nothing here creates a file or a directory,
// opens a socket or logs. Functions read the environment and the user database: call them from one thread, before others
// are started. They throw nothing but bad_alloc.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace stint {

/// sun_path less its NUL (unix(7)): a longer path cannot be bound or connected to.
inline constexpr std::size_t socket_path_bytes_max = 107;

/// Where a personal daemon listens: `$XDG_RUNTIME_DIR/stint/stint.sock` where that directory exists and is ours, else
/// `/tmp/stint-UID/stint.sock`.
[[nodiscard]] std::filesystem::path default_socket_path();

/// Where a personal daemon keeps its state: `$XDG_STATE_HOME/stint`, else `~/.local/state/stint`.
[[nodiscard]] std::filesystem::path default_state_dir();

/// Where a user's configuration lies: `$XDG_CONFIG_HOME/stint`, else `~/.config/stint`.
[[nodiscard]] std::filesystem::path default_config_dir();

/// The file that a daemon holds locked (flock) while it uses the state directory; its first line is its socket's path.
[[nodiscard]] std::filesystem::path state_lock_path(const std::filesystem::path& state_dir);
/// The daemon's log where it does not go to standard error.
[[nodiscard]] std::filesystem::path state_log_path(const std::filesystem::path& state_dir);
/// The socket named in the lock file of `state_dir`; nothing where there is no such file or it names none.
[[nodiscard]] std::optional<std::filesystem::path> locked_socket_path(const std::filesystem::path& state_dir);

/// One place where a client looks for a daemon.
struct SocketCandidate {
  std::filesystem::path path;
  std::string origin;           ///< what named it, for messages: "--socket", "STINT_SOCKET", "personal", "service"
  bool directory_ours = false;  ///< its directory must be ours, or nobody may be trusted there
};

/// What to try, in order. An explicit path (`--socket`, else `$STINT_SOCKET`) is the only candidate where there is one.
[[nodiscard]] std::vector<SocketCandidate> socket_candidates(const std::optional<std::string>& explicit_path);

/// Why a directory must not be trusted to hold our socket: empty where it is a real directory (no link), owned by us
/// and writable by nobody else; else a clause that ends a sentence, for example "belongs to uid 1001".
[[nodiscard]] std::string directory_fault(const std::filesystem::path& directory);

}  // namespace stint
